//! One attempt of a check: its connection, and the dialogue over it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use elver_core::check::dialogue::{Dialogue, Turn};
use elver_core::check::messages::CertificateTexts;
use elver_core::check::{Attempt, CheckName, Failure, Outcome};
use elver_core::config::model::{Check, Connection, HttpProbe, Probe, Tls};
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslVerifyMode};
use openssl::x509::X509;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio_openssl::SslStream;

use super::sockets::{self, Sockets};

/// How much is read at once.
const READ: usize = 4096;
/// No datagram is longer.
const DATAGRAM: usize = 65_535;

/// What an attempt is made with.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) tls: TlsContexts,
    pub(super) sockets: Arc<Sockets>,
}

/// An attempt of a check.
pub(super) struct Ask {
    pub(super) attempt: Attempt,
    pub(super) name: CheckName,
    pub(super) check: Arc<Check>,
    /// Which of its questions, from 0.
    pub(super) question: usize,
    /// For identifiers in the dialogue.
    pub(super) random: u64,
}

/// Makes the connection of a check, holds the dialogue of its question, and closes it.
///
/// It may take for ever; the caller bounds it.
pub(super) async fn attempt(ask: &Ask, means: &Means) -> Outcome {
    ask.held(means).await.unwrap_or_else(|outcome| outcome)
}

impl Ask {
    async fn held(&self, means: &Means) -> Result<Outcome, Outcome> {
        let check = &*self.check;
        let mut dialogue = Dialogue::new(check, self.question, self.random);
        let held = match &check.probe {
            // The director runs it, or sees what it follows.
            Probe::Misc(_) | Probe::File(_) | Probe::Bfd { .. } => {
                return Err(Outcome::NotRun("no connection".to_owned()));
            }
            Probe::Tcp | Probe::Smtp { .. } | Probe::Http(HttpProbe { tls: None, .. }) => {
                let mut stream = self.connect(&means.sockets).await?;
                converse(&mut stream, &mut dialogue).await
            }
            Probe::Http(HttpProbe {
                tls: Some(settings),
                urls,
                ..
            }) => {
                let url = urls.get(self.question);
                let host = url.and_then(|url| url.virtual_host.as_deref());
                let compliant = url.and_then(|url| url.tls_compliant);
                let tls = match compliant.unwrap_or(settings.compliant) {
                    true => &means.tls.strict,
                    false => &means.tls.usual,
                };
                let stream = self.connect(&means.sockets).await?;
                let mut stream = handshake(stream, tls, settings, host).await?;
                converse(&mut stream, &mut dialogue).await
            }
            Probe::Udp(_) | Probe::Dns(_) | Probe::Ping => {
                let socket = self.datagram_socket(&means.sockets).await?;
                exchange(&socket, &mut dialogue).await
            }
        };
        held.map_err(|error| outcome_of(&error))
    }

    async fn connect(&self, sockets: &Sockets) -> Result<TcpStream, Outcome> {
        let connection = &self.check.connection;
        let socket = stream_socket(connection).map_err(|error| outcome_of(&error))?;
        let who = (self.attempt, self.name);
        let to = sockets.make_ready(who, connection, &socket).await?;
        let connected = socket.connect(to).await;
        connected.map_err(|error| outcome_of(&error))
    }

    async fn datagram_socket(&self, sockets: &Sockets) -> Result<UdpSocket, Outcome> {
        let connection = &self.check.connection;
        let protocol = match (&self.check.probe, connection.to.is_ipv4()) {
            (Probe::Ping, true) => Protocol::ICMPV4,
            (Probe::Ping, false) => Protocol::ICMPV6,
            _ => Protocol::UDP,
        };
        let ours = |error: io::Error| outcome_of(&error);
        let socket = datagram_socket(connection, protocol).map_err(ours)?;
        let who = (self.attempt, self.name);
        let to = sockets.make_ready(who, connection, &socket).await?;
        socket.connect(&to.into()).map_err(ours)?;
        UdpSocket::from_std(socket.into()).map_err(ours)
    }
}

/// TLS clients that take every server as it is: any version that OpenSSL still speaks, and any
/// certificate.
#[derive(Clone)]
pub(crate) struct TlsContexts {
    /// One that takes an end of the connection without a farewell for an end.
    usual: SslContext,
    /// One that does not.
    strict: SslContext,
}

impl TlsContexts {
    /// Clients that show this certificate, where there is one and they are asked for one.
    ///
    /// # Errors
    /// What OpenSSL cannot make of it.
    pub(crate) fn new(texts: &CertificateTexts) -> io::Result<TlsContexts> {
        Ok(TlsContexts {
            usual: tls_context(SslOptions::IGNORE_UNEXPECTED_EOF, texts)?,
            strict: tls_context(SslOptions::empty(), texts)?,
        })
    }
}

fn tls_context(options: SslOptions, texts: &CertificateTexts) -> io::Result<SslContext> {
    let build = || -> Result<SslContext, ErrorStack> {
        let mut builder = SslContextBuilder::new(SslMethod::tls_client())?;
        builder.set_verify(SslVerifyMode::NONE);
        builder.set_min_proto_version(None)?;
        builder.set_security_level(0);
        builder.set_cipher_list("ALL:@SECLEVEL=0")?;
        // SSL_OP_LEGACY_SERVER_CONNECT of openssl/ssl.h: servers without RFC 5746.
        let legacy_server_connect = SslOptions::from_bits_retain(0x4);
        builder.set_options(options | legacy_server_connect);
        show(&mut builder, texts)?;
        Ok(builder.build())
    };
    build().map_err(io::Error::from)
}

/// Lets a client show a certificate.
fn show(builder: &mut SslContextBuilder, texts: &CertificateTexts) -> Result<(), ErrorStack> {
    if let Some(chain) = &texts.chain {
        for (place, certificate) in X509::stack_from_pem(chain.as_bytes())?
            .into_iter()
            .enumerate()
        {
            match place {
                0 => builder.set_certificate(&certificate)?,
                _ => builder.add_extra_chain_cert(certificate)?,
            }
        }
    }
    if let Some(key) = &texts.key {
        // Without a password of its own, OpenSSL would ask for one at the terminal.
        let password = texts.password.as_deref().unwrap_or_default();
        let key = PKey::private_key_from_pem_passphrase(key.as_bytes(), password.as_bytes())?;
        builder.set_private_key(&key)?;
        builder.check_private_key()?;
    }
    if let Some(authorities) = &texts.authorities {
        for authority in X509::stack_from_pem(authorities.as_bytes())? {
            builder.cert_store_mut().add_cert(authority)?;
        }
    }
    Ok(())
}

fn stream_socket(connection: &Connection) -> io::Result<TcpSocket> {
    let socket = match connection.to {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(interface) = &connection.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if let Some(source) = source(connection)? {
        // A fixed port is wanted again while the last connection is in TIME-WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(source)?;
    }
    Ok(socket)
}

/// Where to bind to, if the configuration or the way says so.
pub(super) fn source(connection: &Connection) -> io::Result<Option<SocketAddr>> {
    if connection.source.is_none()
        && let Some(mut own) = sockets::own_address(connection)?
    {
        own.set_port(connection.source_port.unwrap_or(0));
        return Ok(Some(own));
    }
    if connection.source.is_none() && connection.source_port.is_none() {
        return Ok(None);
    }
    let any: IpAddr = match connection.to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    Ok(Some(SocketAddr::new(
        connection.source.unwrap_or(any),
        connection.source_port.unwrap_or(0),
    )))
}

fn datagram_socket(connection: &Connection, protocol: Protocol) -> io::Result<Socket> {
    let domain = Domain::for_address(connection.to);
    let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if let Some(interface) = &connection.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if let Some(source) = source(connection)? {
        socket.bind(&source.into())?;
    }
    Ok(socket)
}

async fn handshake(
    stream: TcpStream,
    context: &SslContext,
    settings: &Tls,
    virtual_host: Option<&str>,
) -> Result<SslStream<TcpStream>, Outcome> {
    let ours = |error: openssl::error::ErrorStack| Outcome::NotRun(error.to_string());
    let mut ssl = Ssl::new(context).map_err(ours)?;
    if settings.enable_sni
        && let Some(name) = settings.sni_name.as_deref().or(virtual_host)
    {
        ssl.set_hostname(name).map_err(ours)?;
    }
    let mut stream = SslStream::new(ssl, stream).map_err(ours)?;
    match Pin::new(&mut stream).connect().await {
        Ok(()) => Ok(stream),
        Err(error) => Err(match error.io_error() {
            Some(error) => outcome_of(error),
            None => Outcome::Failed(Failure::WrongAnswer(format!(
                "TLS handshake: {}",
                first_reason(&error)
            ))),
        }),
    }
}

fn first_reason(error: &openssl::ssl::Error) -> String {
    let reason = error
        .ssl_error()
        .and_then(|stack| stack.errors().first())
        .and_then(|error| error.reason());
    reason.map_or_else(|| "the connection was closed".to_owned(), str::to_owned)
}

async fn converse(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    dialogue: &mut Dialogue,
) -> io::Result<Outcome> {
    let mut buffer = Vec::new();
    loop {
        match dialogue.turn() {
            Turn::Send(octets) => {
                stream.write_all(&octets).await?;
                stream.flush().await?;
            }
            Turn::Receive => {
                buffer.resize(READ, 0);
                match stream.read(&mut buffer).await? {
                    0 => dialogue.ended(),
                    length => dialogue.received(&buffer[..length]),
                }
            }
            Turn::Done(outcome) => return Ok(outcome),
        }
    }
}

async fn exchange(socket: &UdpSocket, dialogue: &mut Dialogue) -> io::Result<Outcome> {
    let mut buffer = Vec::new();
    loop {
        match dialogue.turn() {
            Turn::Send(octets) => {
                socket.send(&octets).await?;
            }
            Turn::Receive => {
                buffer.resize(DATAGRAM, 0);
                let length = socket.recv(&mut buffer).await?;
                dialogue.received(&buffer[..length]);
            }
            Turn::Done(outcome) => return Ok(outcome),
        }
    }
}

/// What an error of a socket says, and of whom: the same errors as with keepalived
/// (`layer4.c`) speak against the real server.
pub(super) fn outcome_of(error: &io::Error) -> Outcome {
    let ours = [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOBUFS,
        libc::ENOMEM,
        libc::EAGAIN,
        libc::EADDRNOTAVAIL,
        libc::EPERM,
        libc::EACCES,
        libc::EINVAL,
        libc::ENODEV,
        libc::EAFNOSUPPORT,
    ];
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => Outcome::Failed(Failure::Refused),
        Some(libc::ETIMEDOUT) => Outcome::Failed(Failure::TimedOut),
        Some(libc::EHOSTUNREACH) => Outcome::Failed(Failure::HostUnreachable),
        Some(libc::ENETUNREACH) => Outcome::Failed(Failure::NetworkUnreachable),
        Some(libc::ECONNRESET) => Outcome::Failed(Failure::Reset),
        Some(number) if ours.contains(&number) => Outcome::NotRun(error.to_string()),
        _ => Outcome::Failed(Failure::Other(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_speak_against_the_real_server_or_not() {
        let of = |number| outcome_of(&io::Error::from_raw_os_error(number));
        assert_eq!(of(libc::ECONNREFUSED), Outcome::Failed(Failure::Refused));
        assert_eq!(of(libc::ETIMEDOUT), Outcome::Failed(Failure::TimedOut));
        assert!(matches!(
            of(libc::EHOSTDOWN),
            Outcome::Failed(Failure::Other(_))
        ));
        assert!(matches!(of(libc::EMFILE), Outcome::NotRun(_)));
        assert!(matches!(of(libc::EPERM), Outcome::NotRun(_)));
    }
}
