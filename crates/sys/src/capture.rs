//! Packet sockets that see every frame of one interface (packet(7)).

use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use libc::{c_int, c_void};

/// Bytes that the kernel may hold for a reader that is behind.
const RECEIVE_BUFFER: c_int = 32 << 20;

/// Room for the control messages of one frame: `tpacket_auxdata` and a timestamp.
const CONTROL_WORDS: usize = 16;

/// A socket that receives every frame that enters or leaves one interface.
#[derive(Debug)]
pub struct CaptureSocket {
    socket: OwnedFd,
}

/// What a [`CaptureSocket`] tells of one frame, beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the frame on the wire, from its Ethernet header on; the buffer may have
    /// held fewer. A frame that segmentation offload will cut up counts whole.
    pub length: usize,
    /// Whether the frame left through the interface, rather than entered by it.
    pub outgoing: bool,
    /// When the kernel saw it, since the Unix epoch.
    pub time: Duration,
    /// Whether the checksum of its transport header is still to be filled in
    /// (TP_STATUS_CSUMNOTREADY), as on a frame of a local sender on veth.
    pub checksum_unfinished: bool,
}

impl CaptureSocket {
    /// Starts to receive what passes `interface` of the calling thread's network namespace.
    ///
    /// Needs CAP_NET_RAW. ENODEV says that there is no such interface.
    pub fn open(interface: &str) -> io::Result<Self> {
        // SAFETY: socket(2) takes no pointers. Protocol 0 receives nothing until bound,
        // so that no frame of another interface gets in.
        let descriptor = unsafe {
            libc::socket(
                libc::AF_PACKET,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
                0,
            )
        };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
        set_option(&socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, 1)?;
        set_option(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
        let interface = rustix::net::netdevice::name_to_index(&socket, interface)?;
        // The forced size wants CAP_NET_ADMIN; without it the default has to do.
        let _ = set_option(
            &socket,
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            RECEIVE_BUFFER,
        );

        // SAFETY: all-zero bytes are a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = interface.cast_signed();
        // SAFETY: the pointer and the length describe `address`, which outlives the call.
        let bound = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as u32,
            )
        };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { socket })
    }

    /// Takes the next frame into `frame`, cut off where that ends.
    ///
    /// Never blocks: [`io::ErrorKind::WouldBlock`] says that no frame waits. Poll the
    /// socket for reading ([`AsFd`]) to wait for one.
    pub fn receive(&self, frame: &mut [u8]) -> io::Result<Received> {
        let mut sender = MaybeUninit::<libc::sockaddr_ll>::zeroed();
        let mut control = [0_u64; CONTROL_WORDS];
        let mut part = libc::iovec {
            iov_base: frame.as_mut_ptr().cast::<c_void>(),
            iov_len: frame.len(),
        };
        // SAFETY: all-zero bytes are a valid msghdr.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_name = sender.as_mut_ptr().cast();
        message.msg_namelen = size_of::<libc::sockaddr_ll>() as u32;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;

        // SAFETY: every pointer in `message` is to a live local or to `frame`, with its
        // true length; MSG_TRUNC makes the result the frame's length and writes no more.
        let length =
            unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, libc::MSG_TRUNC) };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;

        // SAFETY: it was zeroed, which is valid, and the kernel writes a sockaddr_ll.
        let sender = unsafe { sender.assume_init() };
        let mut received = Received {
            length,
            outgoing: sender.sll_pkttype == libc::PACKET_OUTGOING,
            time: Duration::ZERO,
            checksum_unfinished: false,
        };
        // SAFETY: recvmsg(2) left a well-formed list of control messages in `control`, and
        // says its length in `message`; CMSG_FIRSTHDR and CMSG_NXTHDR stay within it.
        let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
        while !header.is_null() {
            // SAFETY: not null, so it points at a header inside `control`, which is
            // aligned for one.
            let (level, kind) = unsafe { ((*header).cmsg_level, (*header).cmsg_type) };
            // SAFETY: as above; the data follows its header.
            let data = unsafe { libc::CMSG_DATA(header) };
            if (level, kind) == (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
                // SAFETY: a message of this kind carries one tpacket_auxdata.
                let auxiliary = unsafe { data.cast::<libc::tpacket_auxdata>().read_unaligned() };
                received.checksum_unfinished =
                    auxiliary.tp_status & libc::TP_STATUS_CSUMNOTREADY != 0;
            } else if (level, kind) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
                // SAFETY: a message of this kind carries one timespec.
                let time = unsafe { data.cast::<libc::timespec>().read_unaligned() };
                received.time = Duration::new(
                    u64::try_from(time.tv_sec).unwrap_or(0),
                    u32::try_from(time.tv_nsec).unwrap_or(0),
                );
            }
            // SAFETY: as for CMSG_FIRSTHDR.
            header = unsafe { libc::CMSG_NXTHDR(&raw const message, header) };
        }
        Ok(received)
    }

    /// Frames that found no room, since this was last asked.
    pub fn lost(&self) -> io::Result<u32> {
        let mut statistics = libc::tpacket_stats {
            tp_packets: 0,
            tp_drops: 0,
        };
        let mut size = size_of::<libc::tpacket_stats>() as u32;
        // SAFETY: both pointers are to locals, and `size` is the first one's true size.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut size,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(statistics.tp_drops)
    }
}

impl AsFd for CaptureSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn set_option(socket: &OwnedFd, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the pointer is to `value`, with its size, and setsockopt(2) only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<c_int>() as u32,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
