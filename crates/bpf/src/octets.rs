//! A packet's octets, which the kernel lets programs reach between two pointers.

use core::arch::asm;
use core::intrinsics::is_val_statically_known;
use core::mem::{MaybeUninit, size_of};

use elver_packet::frame::FARTHEST_HEADER;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The octets of a packet that lie in one piece.
#[derive(Clone, Copy)]
pub(crate) struct Octets {
    /// Where they begin.
    pub(crate) data: usize,
    /// Where they end.
    pub(crate) end: usize,
}

impl Octets {
    /// The octets that a program's context has, where its members `data` and `data_end` stand
    /// so many octets from its beginning.
    ///
    /// The kernel puts pointers where the context has 32-bit numbers. The compiler does not
    /// know that, and would widen them like numbers, after which they are none any more.
    ///
    /// # Safety
    /// The context is valid, and these are its members.
    #[inline(always)]
    pub(crate) unsafe fn of_context<C, const DATA: usize, const END: usize>(
        context: *mut C,
    ) -> Octets {
        let (data, end): (usize, usize);
        // SAFETY: the caller vouches for the members; nothing is written.
        unsafe {
            asm!(
                "{0} = *(u32 *)({1} + {2})",
                out(reg) data, in(reg) context, const DATA,
                options(pure, readonly, nostack)
            );
            asm!(
                "{0} = *(u32 *)({1} + {2})",
                out(reg) end, in(reg) context, const END,
                options(pure, readonly, nostack)
            );
        }
        Octets { data, end }
    }

    /// The address of so many octets, if they are all there.
    #[inline(always)]
    pub(crate) fn at(self, offset: u32, octets: usize) -> Option<*mut u8> {
        if offset > FARTHEST_HEADER {
            return None;
        }
        // Linux 6.1 forgets what the comparison says of a number that has been on the stack.
        // The compiler does not, and would leave the mask out.
        let offset = if is_val_statically_known(offset) {
            offset
        } else {
            seen(offset) & 0x1ff
        };
        let mut start = self.data + offset as usize;
        // The comparison below and the access have to be of the same register, or the
        // verifier does not see what the one says about the other.
        // SAFETY: no instruction.
        unsafe { asm!("/* {0} */", inout(reg) start, options(pure, nomem, nostack)) };
        if start + octets > self.end {
            None
        } else {
            Some(start as *mut u8)
        }
    }

    /// A header that begins there.
    #[inline(always)]
    pub(crate) fn read<T: FromBytes>(self, offset: u32) -> Option<T> {
        let at = self.at(offset, size_of::<T>())?;
        let mut value = Aligned(MaybeUninit::<T>::uninit());
        // SAFETY: `at` says that the packet has the octets; every pattern of them is a T.
        unsafe {
            copy(at, value.0.as_mut_ptr().cast(), size_of::<T>());
            Some(value.0.assume_init())
        }
    }

    /// Writes a header there; false if there is no room.
    #[inline(always)]
    pub(crate) fn write<T: IntoBytes + Immutable>(self, offset: u32, value: &T) -> bool {
        let Some(at) = self.at(offset, size_of::<T>()) else {
            return false;
        };
        // SAFETY: `at` says that the packet has room; T has no octets that are not its own.
        unsafe { copy((value as *const T).cast(), at, size_of::<T>()) };
        true
    }
}

/// The value in a register of its own, so that the verifier sees in it what comparisons say.
#[inline(always)]
pub(crate) fn seen(mut value: u32) -> u32 {
    // SAFETY: no instruction.
    unsafe { asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack)) };
    value
}

/// Room for a header that may be written in whole words.
#[repr(C, align(8))]
pub(crate) struct Aligned<T>(pub(crate) MaybeUninit<T>);

/// Copies a header between the packet and the stack in the largest pieces there are.
/// Packet memory may be read at any address on the machines that BPF is compiled for here.
#[inline(always)]
unsafe fn copy(source: *const u8, target: *mut u8, octets: usize) {
    let mut done = 0;
    while done + 4 <= octets {
        // SAFETY: the caller vouches for both ranges.
        unsafe {
            target
                .add(done)
                .cast::<u32>()
                .write(source.add(done).cast::<u32>().read())
        };
        done += 4;
    }
    if done + 2 <= octets {
        // SAFETY: as above.
        unsafe {
            target
                .add(done)
                .cast::<u16>()
                .write(source.add(done).cast::<u16>().read())
        };
        done += 2;
    }
    if done < octets {
        // SAFETY: as above.
        unsafe { target.add(done).write(source.add(done).read()) };
    }
}
