//! Servers that say what checks want to hear, tell clients who they are, and note who came.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use elver_core::service::Protocol;
use elver_core::topology::{Listener, Page, Server, Topology};
use openssl::ssl::{Ssl, SslAcceptor, SslMethod, SslStream};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::network::Network;
use crate::wait::limit_here;
use crate::{Error, Host, Result};

/// How long a client may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// The longest request that is read.
const LONGEST_REQUEST: u64 = 8192;
/// What a ClientHello begins with (RFC 8446 section 5.1: handshake).
const TLS_HANDSHAKE: u8 = 22;

/// Which server was reached from where: forwarding leaves clients their addresses.
#[derive(Debug, Clone, Default)]
pub(super) struct Witness(Arc<Mutex<BTreeMap<(Protocol, SocketAddr), usize>>>);

impl Witness {
    fn seen(&self) -> MutexGuard<'_, BTreeMap<(Protocol, SocketAddr), usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, protocol: Protocol, client: SocketAddr, server: usize) {
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        self.seen().insert((protocol, client), server);
    }

    /// The number of the server that a client's packets have reached.
    pub(super) fn reached(&self, protocol: Protocol, client: SocketAddr) -> Option<usize> {
        self.seen().get(&(protocol, client)).copied()
    }
}

/// All servers of a network; dropping them closes their ports.
pub(super) struct Servers {
    stop: Arc<OwnedFd>,
    threads: Vec<JoinHandle<()>>,
}

/// A socket and what is said on it.
enum Port {
    Connections(TcpListener, Arc<Speaker>),
    Datagrams(UdpSocket, Option<Vec<u8>>),
}

/// How a server talks on a connection.
struct Speaker {
    name: String,
    /// None for SMTP.
    pages: Option<BTreeMap<String, Page>>,
    tls: SslAcceptor,
}

impl Servers {
    /// Starts every listener of the plan.
    pub(super) fn start(
        network: &Network,
        topology: &Topology,
        witness: &Witness,
    ) -> Result<Servers> {
        let stop = eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|error| Error::system("make servers")(error.into()))?;
        let mut servers = Servers {
            stop: Arc::new(stop),
            threads: Vec::new(),
        };
        let tls = acceptor().map_err(|error| {
            Error::system("make a certificate for the lab")(io::Error::other(error))
        })?;
        for (number, (server, host)) in topology.servers.iter().zip(&network.servers).enumerate() {
            let mut ports = Vec::new();
            for (&(protocol, port), listener) in &server.listeners {
                let host = host.as_ref().unwrap_or(&network.director);
                let opened = open(host, server, port, listener, &tls);
                ports.extend(opened.map_err(Error::system(format!(
                    "listen on {protocol} port {port} of {}",
                    server.name
                )))?);
            }
            let (stop, witness) = (Arc::clone(&servers.stop), witness.clone());
            let name = server.name.clone();
            let thread = std::thread::Builder::new()
                .name(name.clone())
                .spawn(move || serve(&ports, &stop, &witness, number, &name))
                .map_err(Error::system("start a thread"))?;
            servers.threads.push(thread);
        }
        Ok(servers)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A certificate that nobody has signed, for a key that is made now.
fn acceptor() -> std::result::Result<SslAcceptor, openssl::error::ErrorStack> {
    use openssl::{asn1, bn, ec, hash, nid, pkey, x509};
    let group = ec::EcGroup::from_curve_name(nid::Nid::X9_62_PRIME256V1)?;
    let key = pkey::PKey::from_ec_key(ec::EcKey::generate(&group)?)?;
    let mut name = x509::X509NameBuilder::new()?;
    name.append_entry_by_text("CN", "elver lab")?;
    let name = name.build();
    let mut certificate = x509::X509Builder::new()?;
    certificate.set_version(2)?;
    let serial = bn::BigNum::from_u32(1)?;
    let serial = asn1::Asn1Integer::from_bn(&serial)?;
    certificate.set_serial_number(&serial)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    certificate.set_pubkey(&key)?;
    let (from, until) = (
        asn1::Asn1Time::days_from_now(0)?,
        asn1::Asn1Time::days_from_now(2)?,
    );
    certificate.set_not_before(&from)?;
    certificate.set_not_after(&until)?;
    certificate.sign(&key, hash::MessageDigest::sha256())?;
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    acceptor.set_private_key(&key)?;
    acceptor.set_certificate(&certificate.build())?;
    Ok(acceptor.build())
}

fn open(
    host: &Host,
    server: &Server,
    port: u16,
    listener: &Listener,
    tls: &SslAcceptor,
) -> io::Result<Vec<Port>> {
    // On the director several servers may be, each at its own address.
    let everywhere = match server.node {
        Some(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        None => server.address,
    };
    let within = |work: &(dyn Fn() -> io::Result<Vec<Port>> + Sync)| {
        host.run(work).map_err(io::Error::other)?
    };
    let pages = match listener {
        Listener::Web { pages } => Some(pages.clone()),
        Listener::Mail => None,
        Listener::Datagrams { reply } => {
            // What is sent from a socket for every address does not come from the one that was
            // asked.
            let vips = server.role.iter().flat_map(|role| &role.vips);
            let addresses: Vec<IpAddr> = vips.chain([&server.address]).copied().collect();
            return within(&|| {
                let bind = |address: &IpAddr| -> io::Result<Port> {
                    let socket = bound(SocketAddr::new(*address, port), SocketType::DGRAM)?;
                    Ok(Port::Datagrams(socket.into(), reply.clone()))
                };
                addresses.iter().map(bind).collect()
            });
        }
        // The kernels that this runs on mostly have no sockets for it.
        Listener::Associations => return Ok(Vec::new()),
    };
    let speaker = Arc::new(Speaker {
        name: server.name.clone(),
        pages,
        tls: tls.clone(),
    });
    within(&|| {
        let socket = bound(SocketAddr::new(everywhere, port), SocketType::STREAM)?;
        rustix::net::listen(&socket, 128)?;
        Ok(vec![Port::Connections(socket.into(), Arc::clone(&speaker))])
    })
}

/// A socket at an address that may come later.
fn bound(address: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = rustix::net::socket(family, kind, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
        sockopt::set_ipv6_freebind(&socket, true)?;
    } else {
        sockopt::set_ip_freebind(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

impl AsFd for Port {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Port::Connections(listener, _) => listener.as_fd(),
            Port::Datagrams(socket, _) => socket.as_fd(),
        }
    }
}

fn serve(ports: &[Port], stop: &OwnedFd, witness: &Witness, number: usize, name: &str) {
    loop {
        let mut ready: Vec<PollFd<'_>> = std::iter::once(stop.as_fd())
            .chain(ports.iter().map(AsFd::as_fd))
            .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
            .collect();
        match poll(&mut ready, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        if !ready[0].revents().is_empty() {
            return;
        }
        for (port, ready) in ports.iter().zip(&ready[1..]) {
            if ready.revents().is_empty() {
                continue;
            }
            match port {
                Port::Connections(listener, speaker) => {
                    // An error is of one connection, which was gone before it was accepted.
                    let Ok((connection, client)) = listener.accept() else {
                        continue;
                    };
                    witness.note(Protocol::Tcp, client, number);
                    let speaker = Arc::clone(speaker);
                    let spawned = std::thread::Builder::new().spawn(move || {
                        // An error is of the connection, and the other end sees it as well.
                        let _ = speaker.speak(connection);
                    });
                    if let Err(error) = spawned {
                        eprintln!("elver-lab: cannot serve a connection: {error}");
                    }
                }
                Port::Datagrams(socket, reply) => {
                    let mut octets = [0; 2048];
                    let Ok((length, client)) = socket.recv_from(&mut octets) else {
                        continue;
                    };
                    witness.note(Protocol::Udp, client, number);
                    let answer = match reply {
                        Some(reply) => reply.clone(),
                        None => answer(&octets[..length], name),
                    };
                    let _ = socket.send_to(&answer, client);
                }
            }
        }
    }
}

/// What is answered to a datagram: a DNS query (RFC 1035 section 4.1.1) comes back as a response
/// without records, anything else with the name of the server.
fn answer(request: &[u8], name: &str) -> Vec<u8> {
    let is_query =
        request.len() > 12 && request[2] & 0xf8 == 0 && request[4..12] == [0, 1, 0, 0, 0, 0, 0, 0];
    let mut answer = request.to_vec();
    if is_query {
        answer[2] |= 0x80;
    } else {
        answer.extend_from_slice(name.as_bytes());
    }
    answer
}

impl Speaker {
    fn speak(&self, connection: TcpStream) -> io::Result<()> {
        connection.set_nonblocking(false)?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(limit_here(SILENCE)))?;
        connection.set_write_timeout(Some(limit_here(SILENCE)))?;
        let Some(pages) = &self.pages else {
            return self.receive_mail(&connection);
        };
        let mut first = [0];
        match connection.peek(&mut first)? {
            0 => Ok(()),
            _ if first == [TLS_HANDSHAKE] => {
                let ssl = Ssl::new(self.tls.context()).map_err(io::Error::other)?;
                let mut stream = SslStream::new(ssl, connection).map_err(io::Error::other)?;
                stream.accept().map_err(io::Error::other)?;
                self.serve_page(&mut stream, pages)?;
                // The other end may have gone without a farewell.
                let _ = stream.shutdown();
                Ok(())
            }
            _ => self.serve_page(&mut &connection, pages),
        }
    }

    /// One request and its answer (RFC 9112).
    fn serve_page(
        &self,
        stream: &mut (impl Read + Write),
        pages: &BTreeMap<String, Page>,
    ) -> io::Result<()> {
        let mut request = String::new();
        let mut input = BufReader::new(Read::by_ref(stream).take(LONGEST_REQUEST));
        while !request.ends_with("\r\n\r\n") && !request.ends_with("\n\n") {
            if input.read_line(&mut request)? == 0 {
                break;
            }
        }
        let path = request.split_whitespace().nth(1).unwrap_or_default();
        let page = pages.get(path);
        let status = page.map_or(200, |page| page.status);
        let text = match page.map_or("", |page| &page.text) {
            "" => format!("{}\n", self.name),
            text => text.to_owned(),
        };
        let answer = format!(
            "HTTP/1.1 {status} elver lab\r\nServer: {}\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
            self.name,
            text.len()
        );
        stream.write_all(answer.as_bytes())?;
        stream.flush()
    }

    /// As much of SMTP (RFC 5321) as says that a mail server is there.
    fn receive_mail(&self, connection: &TcpStream) -> io::Result<()> {
        let mut output = connection;
        let mut say = |code: &str| {
            let line = format!("{code} {}\r\n", self.name);
            output.write_all(line.as_bytes())
        };
        say("220")?;
        let mut input = BufReader::new(connection.take(LONGEST_REQUEST));
        let mut line = String::new();
        while input.read_line(&mut line)? > 0 {
            match line.split_whitespace().next() {
                Some("HELO" | "EHLO") => say("250")?,
                Some("QUIT") => return say("221"),
                _ => say("500")?,
            }
            line.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_become_responses_and_others_are_named() {
        let query = [7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];
        let response = answer(&query, "web1");
        assert_eq!(response[2], 0x81);
        assert_eq!((&response[..2], &response[3..]), (&query[..2], &query[3..]));
        assert_eq!(answer(b"hello ", "web1"), b"hello web1");
    }
}
