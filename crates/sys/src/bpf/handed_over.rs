//! Frames that the programs give to the controller.

use std::io;
use std::mem::offset_of;

use aya::maps::{Map, MapData, RingBuf};
use elver_packet::frame::HandedOver;
use tokio::io::unix::AsyncFd;

use super::maps::pinned;
use super::{BpfError, directory};

/// Where the frames of an instance come out, in their order. One process may read. It needs a
/// tokio runtime.
pub struct HandedOverFrames {
    ring: AsyncFd<RingBuf<MapData>>,
}

/// A frame that the controller is to hand in again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOverFrame {
    /// Octets that the fragments may have into which it is to be cut; none if it is to be held
    /// until the first fragment of its packet has come.
    pub largest: Option<u32>,
    /// The frame, from its Ethernet header on.
    pub octets: Vec<u8>,
}

impl HandedOverFrames {
    /// Opens the ring that is pinned for the instance.
    ///
    /// # Errors
    /// None is, or the kernel refuses.
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO enabled.
    pub fn open(instance: &str) -> Result<HandedOverFrames, BpfError> {
        let map = pinned(&directory(instance), "HANDED_OVER")?;
        let ring = RingBuf::try_from(Map::RingBuf(map))
            .map_err(|error| BpfError::kernel("opening the map HANDED_OVER", error))?;
        // SAFETY: the ring owns the descriptor and is never taken apart, so it stays open and
        // the same until it is deregistered.
        let ring = unsafe { AsyncFd::register_with_interest(ring, tokio::io::Interest::READABLE) }
            .map_err(|error| BpfError::kernel("watching the map HANDED_OVER", error))?;
        Ok(HandedOverFrames { ring })
    }

    /// The next frame. Nothing is lost when this is cancelled.
    ///
    /// # Errors
    /// What the kernel says about the ring.
    pub async fn next(&mut self) -> io::Result<HandedOverFrame> {
        loop {
            let mut guard = self.ring.readable_mut().await?;
            let taken = guard.get_inner_mut().next().map(|item| read(&item));
            match taken {
                Some(Some(frame)) => return Ok(frame),
                // Only a program of another version would write it, which the layout's version
                // guards against.
                Some(None) => {}
                None => guard.clear_ready(),
            }
        }
    }
}

/// A frame as it stands in the ring.
fn read(item: &[u8]) -> Option<HandedOverFrame> {
    let word = |offset: usize| {
        let octets = item.get(offset..offset + size_of::<u32>())?;
        octets.try_into().ok().map(u32::from_ne_bytes)
    };
    let largest = word(offset_of!(HandedOver, largest))?;
    let length = word(offset_of!(HandedOver, length))? as usize;
    let start = offset_of!(HandedOver, octets);
    Some(HandedOverFrame {
        largest: (largest != 0).then_some(largest),
        octets: item.get(start..start.checked_add(length)?)?.to_vec(),
    })
}
