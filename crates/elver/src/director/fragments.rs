//! The part of the director that packets in fragments need: see
//! [`elver_core::fragment`].

use std::io;
use std::time::Instant;

use elver_core::fragment::{WaitingFragments, cut};
use elver_packet::frame::LOOPBACK;
use elver_packet::table::Tables;
use elver_sys::bpf::{HandedOverFrame, HandedOverFrames, Maps};
use elver_sys::frame_sender::FrameSender;

use crate::failure::Failure;

/// Takes frames that the programs hand over, and hands them in again.
pub(super) struct Fragments {
    frames: HandedOverFrames,
    waiting: WaitingFragments,
    sender: FrameSender,
    start: Instant,
    /// Whether it has been said that frames cannot be handed in.
    has_complained: bool,
}

/// What there is to do.
pub(super) enum Task {
    /// A frame has come.
    Take(HandedOverFrame),
    /// It is time to look whether first fragments have come.
    Look,
}

impl Fragments {
    pub(super) fn open(instance: &str) -> Result<Fragments, Failure> {
        Ok(Fragments {
            frames: HandedOverFrames::open(instance)?,
            waiting: WaitingFragments::default(),
            sender: FrameSender::open().map_err(Failure::system("opening a packet socket"))?,
            start: Instant::now(),
            has_complained: false,
        })
    }

    /// The next task. Nothing is lost when this is cancelled.
    pub(super) async fn next(&mut self) -> io::Result<Task> {
        let look = self.waiting.poll_timeout().map(|due| self.start + due);
        tokio::select! {
            frame = self.frames.next() => Ok(Task::Take(frame?)),
            () = super::sleep_until(look), if look.is_some() => Ok(Task::Look),
        }
    }

    pub(super) fn carry_out(&mut self, task: Task, maps: &Maps) {
        let now = self.start.elapsed();
        match task {
            Task::Take(HandedOverFrame {
                largest: Some(largest),
                octets,
            }) => {
                for fragment in cut(&octets, largest).unwrap_or_default() {
                    self.hand_in(fragment);
                }
            }
            Task::Take(HandedOverFrame { octets, .. }) => self.waiting.hold(now, octets),
            Task::Look => {
                let ready = self
                    .waiting
                    .release(now, |key| maps.fragment(key).is_some());
                for frame in ready {
                    self.hand_in(frame);
                }
            }
        }
    }

    /// Sends a frame so that it arrives at the loopback device, where the programs are too.
    fn hand_in(&mut self, mut frame: Vec<u8>) {
        // The addresses of that device.
        if let Some(addresses) = frame.get_mut(..12) {
            addresses.fill(0);
        }
        if let Err(error) = self.sender.send(LOOPBACK, &frame)
            && !self.has_complained
        {
            tracing::warn!(
                "packets in fragments are lost: they go over the loopback device: {error}"
            );
            self.has_complained = true;
        }
    }
}
