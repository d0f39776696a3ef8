//! A client of the lab's [`crate::service::Service`].

use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use crate::service::{SILENCE_LIMIT, receive, say, send};
use crate::wait::limit_here;
use crate::{Error, Host, Result};

/// A connection from a host to a service that has greeted.
#[derive(Debug)]
pub struct Conversation {
    peer: SocketAddrV4,
    input: BufReader<TcpStream>,
    greeting: Greeting,
}

/// What a service says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// The name of the service that answers.
    pub name: String,
    /// Its own address, as it sees it.
    pub at: SocketAddr,
    /// The client's address, as it sees it.
    pub sees: SocketAddr,
}

impl Conversation {
    /// Connects from `host` to `peer`, for `limit` at the most, and takes the greeting.
    pub fn open(host: &Host, peer: SocketAddrV4, limit: Duration) -> Result<Self> {
        Self::open_from(
            host,
            SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0),
            peer,
            limit,
        )
    }

    /// The same from an address and a port of the host's.
    pub fn open_from(
        host: &Host,
        from: SocketAddrV4,
        peer: SocketAddrV4,
        limit: Duration,
    ) -> Result<Self> {
        let limit = limit_here(limit);
        let failed =
            |error| Error::system(format!("connect from {} to {peer}", host.name()))(error);
        let connect = || -> io::Result<_> {
            let connection = connect_from(from.into(), peer.into(), limit)?;
            connection.set_nodelay(true)?;
            connection.set_read_timeout(Some(limit))?;
            let mut input = BufReader::new(connection);
            let line = read_line(&mut input)?;
            let greeting = parse_greeting(&line).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("no greeting: {line:?}"))
            })?;
            input
                .get_ref()
                .set_read_timeout(Some(limit_here(SILENCE_LIMIT)))?;
            input
                .get_ref()
                .set_write_timeout(Some(limit_here(SILENCE_LIMIT)))?;
            Ok((input, greeting))
        };
        let (input, greeting) = host.run(connect)?.map_err(failed)?;
        Ok(Self {
            peer,
            input,
            greeting,
        })
    }

    /// Who answered.
    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// The client's own address.
    pub fn local_address(&self) -> Result<SocketAddr> {
        self.input
            .get_ref()
            .local_addr()
            .map_err(Error::system("ask for a socket's address"))
    }

    /// Has the service repeat `text`, which is one line: shows that the connection lives.
    pub fn echo(&mut self, text: &str) -> Result<()> {
        let answer = self.ask(&format!("echo {text}"))?;
        self.same("the echo", text, &answer)
    }

    /// Sends `bytes` and checks that they arrived as they were sent.
    pub fn upload(&mut self, bytes: u64) -> Result<()> {
        let peer = self.peer;
        let failed = |error| Error::system(format!("send {bytes} bytes to {peer}"))(error);
        let mut output = self.input.get_ref();
        say(output, &format!("receive {bytes}")).map_err(failed)?;
        let sent = send(&mut output, bytes).map_err(failed)?;
        let received = read_line(&mut self.input).map_err(failed)?;
        self.same(
            "the checksum of what was sent",
            &format!("{sent:08x}"),
            &received,
        )
    }

    /// Receives `bytes` and checks that they arrived as they were sent.
    pub fn download(&mut self, bytes: u64) -> Result<()> {
        let peer = self.peer;
        let failed = |error| Error::system(format!("receive {bytes} bytes from {peer}"))(error);
        say(self.input.get_ref(), &format!("send {bytes}")).map_err(failed)?;
        let received = receive(&mut self.input, bytes).map_err(failed)?;
        let sent = read_line(&mut self.input).map_err(failed)?;
        self.same(
            "the checksum of what was received",
            &sent,
            &format!("{received:08x}"),
        )
    }

    /// Has the service give back all that is sent from now on, over the connection itself.
    pub(crate) fn mirror(self) -> Result<TcpStream> {
        let failed = |error| Error::system(format!("talk to {}", self.peer))(error);
        say(self.input.get_ref(), "mirror").map_err(failed)?;
        Ok(self.input.into_inner())
    }

    fn ask(&mut self, line: &str) -> Result<String> {
        let failed = |error| Error::system(format!("talk to {}", self.peer))(error);
        say(self.input.get_ref(), line).map_err(failed)?;
        read_line(&mut self.input).map_err(failed)
    }

    fn same(&self, what: &str, expected: &str, seen: &str) -> Result<()> {
        if expected == seen {
            return Ok(());
        }
        Err(Error::Unexpected {
            expected: format!("{what} from {} to be {expected:?}", self.peer),
            seen: format!("{seen:?}"),
        })
    }
}

/// Connects a socket that is bound to an address; its limit for writing stays `limit`.
pub(crate) fn connect_from(
    from: SocketAddr,
    peer: SocketAddr,
    limit: Duration,
) -> io::Result<TcpStream> {
    let socket = rustix::net::socket(
        match from {
            SocketAddr::V4(_) => rustix::net::AddressFamily::INET,
            SocketAddr::V6(_) => rustix::net::AddressFamily::INET6,
        },
        rustix::net::SocketType::STREAM,
        None,
    )?;
    // A port that another connection has left is not free for a minute.
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &from)?;
    let connection = TcpStream::from(socket);
    // On Linux the limit for writing is that for connecting as well (socket(7)).
    connection.set_write_timeout(Some(limit))?;
    match rustix::net::connect(&connection, &peer) {
        Err(rustix::io::Errno::INPROGRESS) => Err(io::ErrorKind::TimedOut.into()),
        outcome => Ok(outcome.map(|()| connection)?),
    }
}

fn read_line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the connection was closed",
        ));
    }
    line.truncate(line.trim_end().len());
    Ok(line)
}

/// Takes `NAME at ADDRESS sees ADDRESS` apart.
fn parse_greeting(line: &str) -> Option<Greeting> {
    let (rest, sees) = line.rsplit_once(" sees ")?;
    let (name, at) = rest.rsplit_once(" at ")?;
    Some(Greeting {
        name: name.to_owned(),
        at: at.parse().ok()?,
        sees: sees.parse().ok()?,
    })
}
