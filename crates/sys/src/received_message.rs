//! Packets with what the kernel says about them (recvmsg(2), RFC 3542).

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddrV6};
use std::os::fd::AsRawFd;

use socket2::{MaybeUninitSlice, MsgHdrMut, SockAddr, Socket};

/// The most that control messages of one packet take.
const LONGEST_CONTROL: usize = 128;

/// A packet that has come in.
pub(crate) struct ReceivedMessage {
    /// Where it is from.
    pub(crate) source: SockAddr,
    /// What came.
    pub(crate) octets: Vec<u8>,
    control: Vec<u8>,
}

impl ReceivedMessage {
    /// The next packet; none if it is longer than `LONGEST`.
    ///
    /// # Errors
    /// What the kernel says; `WouldBlock` while there is none.
    pub(crate) fn receive<const LONGEST: usize>(
        socket: &Socket,
    ) -> io::Result<Option<ReceivedMessage>> {
        let mut buffer = [MaybeUninit::<u8>::uninit(); LONGEST];
        let mut control = [MaybeUninit::<u8>::uninit(); LONGEST_CONTROL];
        let mut source = SockAddr::from(SocketAddrV6::new(
            Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(),
            0,
            0,
            0,
        ));
        let (length, control_length, truncated) = {
            let mut buffers = [MaybeUninitSlice::new(&mut buffer)];
            let mut message = MsgHdrMut::new()
                .with_addr(&mut source)
                .with_buffers(&mut buffers)
                .with_control(&mut control);
            let length = socket.recvmsg(&mut message, 0)?;
            (
                length,
                message.control_len(),
                message.flags().is_truncated(),
            )
        };
        Ok((!truncated).then(|| ReceivedMessage {
            source,
            octets: initialized(&buffer, length).to_vec(),
            control: initialized(&control, control_length).to_vec(),
        }))
    }

    /// What a control message of that level and type holds.
    pub(crate) fn control(&self, level: libc::c_int, kind: libc::c_int) -> Option<&[u8]> {
        let header_length = size_of::<libc::cmsghdr>();
        let mut rest = &self.control[..];
        while rest.len() >= header_length {
            // SAFETY: at least a whole cmsghdr is there; it is read without alignment, and all
            // its fields are integers.
            let header = unsafe { rest.as_ptr().cast::<libc::cmsghdr>().read_unaligned() };
            let length = header.cmsg_len;
            let data = rest.get(header_length..length)?;
            if (header.cmsg_level, header.cmsg_type) == (level, kind) {
                return Some(data);
            }
            rest = rest
                .get(length.next_multiple_of(size_of::<usize>())..)
                .unwrap_or_default();
        }
        None
    }

    /// The number that a control message of that level and type holds.
    pub(crate) fn number(&self, level: libc::c_int, kind: libc::c_int) -> Option<i32> {
        let octets = self.control(level, kind)?.first_chunk::<4>()?;
        Some(i32::from_ne_bytes(*octets))
    }
}

/// The part of a buffer that the kernel has filled.
fn initialized(buffer: &[MaybeUninit<u8>], length: usize) -> &[u8] {
    let filled = &buffer[..length.min(buffer.len())];
    // SAFETY: recvmsg has reported that it wrote `length` octets to the start of this
    // buffer, and u8 has no invalid values.
    unsafe { &*(std::ptr::from_ref(filled) as *const [u8]) }
}

/// Has the kernel add a control message to every packet: turns an option on that is an int.
pub(crate) fn turn_on(socket: &Socket, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open, and the option is an int that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(&on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
