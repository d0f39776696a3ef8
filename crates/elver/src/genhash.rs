//! `genhash`: the digest of a page, for `digest` of `HTTP_GET` and `SSL_GET`.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::Arg;
use openssl::hash::{MessageDigest, hash};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};

/// How long a server may take, where nobody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A page may be this long.
const LONGEST: u64 = 256 << 20;

/// What follows the name of the program in its usage.
const USAGE: &str = " COMMAND [OPTIONS]
Commands:
   -s server-address -p port -u url
   -S -s server-address -p port -u url
   -h

Options:
Either long or short options are allowed.
   --use-ssl         -S       Use TLS to the server.
   --use-sni         -I       Name the virtual host in the handshake of TLS (see -V).
   --server          -s       The address of the server.
   --port            -p       Its port.
   --url             -u       The path of the page.
   --use-virtualhost -V       The virtual host to ask for.
   --verbose         -v       Print what the server sends as well.
   --help            -h       Print this.
   --fwmark          -m       The firewall mark of packets to the server.
   --protocol        -P       The version of HTTP: 1.0, 1.0c or 1.1;
                                1.0c is 1.0 with 'Connection: close'
   --timeout         -t       How many seconds the server may take
";

/// Whether a program of this name is to be genhash.
pub(crate) fn is_meant_by(name: &std::ffi::OsStr) -> bool {
    std::path::Path::new(name).file_name() == Some(std::ffi::OsStr::new("genhash"))
}

/// Runs genhash, which was called by `name`, with these arguments.
pub(crate) fn main(name: &str, arguments: &[OsString]) -> ExitCode {
    let question = match Question::read(arguments) {
        Ok(question) => question,
        Err(complaint) => {
            if let Some(complaint) = complaint {
                eprintln!("{complaint}");
            }
            eprint!("Usage: {name}{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    let started = Instant::now();
    let answer = match question.ask() {
        Ok(answer) => answer,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let text = question.report(&answer, started.elapsed());
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What is asked, and of whom.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    server: SocketAddr,
    url: String,
    virtual_host: Option<String>,
    version: &'static str,
    closes: bool,
    tls: bool,
    sni: bool,
    mark: Option<u32>,
    timeout: Duration,
    verbose: bool,
}

impl Question {
    /// Reads a command line.
    ///
    /// # Errors
    /// What to say of it before the usage, if anything.
    fn read(arguments: &[OsString]) -> Result<Question, Option<String>> {
        let (mut server, mut port, mut url) = (None::<IpAddr>, None::<u16>, None);
        let mut question = Question {
            server: SocketAddr::from(([0, 0, 0, 0], 0)),
            url: String::new(),
            virtual_host: None,
            version: "1.0",
            closes: false,
            tls: false,
            sni: false,
            mark: None,
            timeout: TIMEOUT,
            verbose: false,
        };
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next().map_err(|error| Some(error.to_string()))? {
            match argument {
                Arg::Short('S') | Arg::Long("use-ssl") => question.tls = true,
                Arg::Short('I') | Arg::Long("use-sni") => question.sni = true,
                Arg::Short('v') | Arg::Long("verbose") => question.verbose = true,
                Arg::Short('s') | Arg::Long("server") => {
                    let text = value(&mut parser)?;
                    let address = text.parse();
                    server = Some(
                        address.map_err(|_| Some(format!("server should be an IP, not {text}")))?,
                    );
                }
                Arg::Short('p') | Arg::Long("port") => {
                    let text = value(&mut parser)?;
                    let number = text.parse().ok().filter(|port| *port != 0);
                    port =
                        Some(number.ok_or_else(|| Some(format!("invalid port number '{text}'")))?);
                }
                Arg::Short('u') | Arg::Long("url") => url = Some(value(&mut parser)?),
                Arg::Short('V') | Arg::Long("use-virtualhost") => {
                    question.virtual_host = Some(value(&mut parser)?);
                }
                Arg::Short('m') | Arg::Long("fwmark") => {
                    let text = value(&mut parser)?;
                    let mark = text.parse();
                    question.mark =
                        Some(mark.map_err(|_| Some(format!("invalid fwmark '{text}'")))?);
                }
                Arg::Short('P') | Arg::Long("protocol") => {
                    let text = value(&mut parser)?;
                    (question.version, question.closes) = match text.as_str() {
                        "1.0" => ("1.0", false),
                        "1.0c" | "1.0C" => ("1.0", true),
                        "1.1" => ("1.1", true),
                        _ => return Err(Some(format!("invalid HTTP protocol version '{text}'"))),
                    };
                }
                Arg::Short('t') | Arg::Long("timeout") => {
                    let text = value(&mut parser)?;
                    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
                    let seconds =
                        seconds.ok_or_else(|| Some(format!("invalid timeout '{text}'")))?;
                    question.timeout = Duration::from_secs(seconds);
                }
                _ => return Err(None),
            }
        }
        match (server, port, url) {
            (Some(address), Some(port), Some(url)) => {
                question.server = SocketAddr::new(address, port);
                question.url = url;
                Ok(question)
            }
            _ => Err(None),
        }
    }

    /// Asks, and gives back all that the server sends.
    fn ask(&self) -> io::Result<Vec<u8>> {
        let family = socket2::Domain::for_address(self.server);
        let socket = socket2::Socket::new(family, socket2::Type::STREAM, None)?;
        if let Some(mark) = self.mark {
            socket.set_mark(mark)?;
        }
        socket
            .connect_timeout(&self.server.into(), self.timeout)
            .map_err(|error| io::Error::other(format!("Connection failed ({error})")))?;
        socket.set_read_timeout(Some(self.timeout))?;
        socket.set_write_timeout(Some(self.timeout))?;
        let mut stream = TcpStream::from(socket);
        if self.tls {
            self.exchange(&mut self.secure(stream)?)
        } else {
            self.exchange(&mut stream)
        }
    }

    /// Shakes hands as SSL_GET does: whoever answers is believed.
    fn secure(&self, stream: TcpStream) -> io::Result<openssl::ssl::SslStream<TcpStream>> {
        let mut connector = SslConnector::builder(SslMethod::tls_client())?;
        connector.set_verify(SslVerifyMode::NONE);
        let mut configuration = connector.build().configure()?;
        configuration.set_verify_hostname(false);
        let name = self.virtual_host.as_deref().filter(|_| self.sni);
        configuration.set_use_server_name_indication(name.is_some());
        configuration
            .connect(name.unwrap_or_default(), stream)
            .map_err(|error| io::Error::other(format!("SSL handshake failed ({error})")))
    }

    fn exchange(&self, stream: &mut (impl Read + Write)) -> io::Result<Vec<u8>> {
        stream.write_all(self.request().as_bytes())?;
        let mut answer = Vec::new();
        match stream.take(LONGEST).read_to_end(&mut answer) {
            // A server that closes without a farewell of TLS has said what it had to say.
            Err(_) if self.tls && !answer.is_empty() => Ok(answer),
            Err(error) => Err(error),
            Ok(_) => Ok(answer),
        }
    }

    /// The request as keepalived's checks write it.
    fn request(&self) -> String {
        let connection = match self.closes {
            true => "Connection: close\r\n",
            false => "",
        };
        let host = self
            .virtual_host
            .clone()
            .unwrap_or_else(|| self.server.to_string());
        format!(
            "GET {} HTTP/{}\r\nUser-Agent: KeepAliveClient\r\n{connection}Host: {host}\r\n\r\n",
            self.url, self.version
        )
    }

    /// What is printed of an answer.
    fn report(&self, answer: &[u8], took: Duration) -> String {
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let (header, body) = answer.split_at(end.map_or(answer.len(), |at| at + 4));
        let digest = hash(MessageDigest::md5(), body).expect("openssl has MD5");
        let mut hexadecimal = String::new();
        for octet in &*digest {
            // Memory takes it.
            let _ = write!(hexadecimal, "{octet:02x}");
        }
        if !self.verbose {
            return format!("{hexadecimal}\n");
        }
        let mut text = String::new();
        text += "-----------------------[    HTTP Header Buffer    ]-----------------------\n";
        text += &octets(header);
        text += "-----------------------[ HTTP Header Ascii Buffer ]-----------------------\n";
        text += &String::from_utf8_lossy(header);
        text += "\n-----------------------[        HTML Buffer        ]-----------------------\n";
        text += &octets(body);
        text += "\n-----------------------[    HTML hash resulting    ]-----------------------\n";
        text += &octets(&digest);
        text += "-----------------------[ HTML hash final resulting ]-----------------------\n";
        text += &hexadecimal;
        let microseconds = took.as_micros();
        text += &format!(
            "\n\nGlobal response time for [{}] = {microseconds} usecs\n",
            self.url
        );
        text
    }
}

/// The value of the option that was read last.
fn value(parser: &mut lexopt::Parser) -> Result<String, Option<String>> {
    match parser.value() {
        Ok(value) => Ok(value.to_string_lossy().into_owned()),
        Err(error) => Err(Some(error.to_string())),
    }
}

/// Octets in lines of sixteen: where, in hexadecimal, and as characters.
fn octets(octets: &[u8]) -> String {
    let mut text = String::new();
    for (number, line) in octets.chunks(16).enumerate() {
        let hexadecimal = |half: &[u8]| {
            let octets = half.iter().map(|octet| format!("{octet:02x} "));
            octets.collect::<String>()
        };
        let characters = line.iter().map(|octet| match octet {
            b' ' | b'!'..=b'~' => char::from(*octet),
            _ => '.',
        });
        let (first, second) = line.split_at(line.len().min(8));
        let _ = writeln!(
            text,
            "{:04}  {:24}- {:24}  {:16}",
            number * 16,
            hexadecimal(first),
            hexadecimal(second),
            characters.collect::<String>()
        );
    }
    text
}
