//! The files that keepalived writes when a signal asks it to.

use std::path::Path;
use std::time::{Instant, SystemTime};

use elver_core::vrrp::messages::Dump;
use elver_core::vrrp::{Moment, VirtualRouters};
use elver_sys::dump_file;
use tracing::{error, info};

/// Where keepalived's readers look for them.
const STATISTICS: &str = "/tmp/keepalived.stats";
const JSON: &str = "/tmp/keepalived.json";

/// Writes a file of what the virtual routers are now. A disk that stalls holds nothing up;
/// what goes wrong is in the log.
pub(super) fn write(routers: &VirtualRouters, dump: Dump) {
    let process = std::process::id();
    let (path, text) = match dump {
        Dump::Statistics => {
            info!("Printing VRRP stats for process({process}) on signal");
            (STATISTICS, Ok(routers.statistics_dump()))
        }
        Dump::Json => {
            info!("Printing VRRP as json for process({process}) on signal");
            let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let moment = Moment {
                now: Instant::now(),
                since_epoch: since_epoch.unwrap_or_default(),
            };
            (JSON, routers.json_dump(moment))
        }
    };
    match text {
        Ok(text) => drop(std::thread::spawn(move || {
            if let Err(error) = dump_file::write(Path::new(path), &text) {
                error!("{path} is not written: {error}");
            }
        })),
        Err(error) => error!("{path} is not written: {error}"),
    }
}
