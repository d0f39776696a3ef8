//! The files that keepalived writes when a signal asks it to.

use std::path::Path;
use std::sync::mpsc;
use std::time::{Instant, SystemTime};

use elver_core::config::model::DumpFiles;
use elver_core::vrrp::messages::Dump;
use elver_core::vrrp::{Moment, VirtualRouters};
use elver_sys::dump_file;
use tracing::{error, info};

/// Writes dumps in a thread of its own, one after the other: a disk that stalls holds nothing
/// else up, and of two dumps the later one stays.
pub(super) struct Dumps {
    texts: mpsc::Sender<(String, String)>,
    files: DumpFiles,
}

impl Dumps {
    pub(super) fn start() -> Dumps {
        let (texts, queue) = mpsc::channel::<(String, String)>();
        std::thread::spawn(move || {
            for (path, text) in queue {
                if let Err(error) = dump_file::write(Path::new(&path), &text) {
                    error!("{path} is not written: {error}");
                }
            }
        });
        Dumps {
            texts,
            files: DumpFiles::default(),
        }
    }

    /// Where the files are from now on.
    pub(super) fn configure(&mut self, files: DumpFiles) {
        self.files = files;
    }

    /// Writes a file of what the virtual routers are now; what goes wrong is in the log.
    pub(super) fn write(&self, routers: &mut VirtualRouters, dump: Dump) {
        let process = std::process::id();
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let moment = Moment {
            now: Instant::now(),
            since_epoch: since_epoch.unwrap_or_default(),
        };
        let text = match dump {
            Dump::Data => {
                info!("Printing VRRP data for process({process}) on signal");
                Ok(routers.data_dump(moment))
            }
            Dump::StatisticsOnce => {
                info!("Printing and clearing VRRP stats for process({process}) on signal");
                let text = routers.statistics_dump();
                routers.clear_statistics();
                Ok(text)
            }
            Dump::Statistics => {
                info!("Printing VRRP stats for process({process}) on signal");
                Ok(routers.statistics_dump())
            }
            Dump::Json => {
                info!("Printing VRRP as json for process({process}) on signal");
                routers.json_dump(moment, self.files.json_version)
            }
        };
        let path = match dump {
            Dump::Data => self.files.data.clone(),
            Dump::Statistics | Dump::StatisticsOnce => self.files.statistics.clone(),
            Dump::Json => self.files.json.clone(),
        };
        match text {
            // It is read for as long as this is there.
            Ok(text) => drop(self.texts.send((path, text))),
            Err(error) => error!("{path} is not written: {error}"),
        }
    }
}
