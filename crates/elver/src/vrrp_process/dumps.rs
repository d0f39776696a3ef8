//! The files that keepalived writes when a signal asks it to.

use std::path::Path;
use std::time::{Instant, SystemTime};

use elver_core::vrrp::messages::Dump;
use elver_core::vrrp::{Moment, VirtualRouters};
use elver_sys::dump_file;
use tracing::{error, info};

/// Where keepalived's readers look for them.
const DATA: &str = "/tmp/keepalived.data";
const STATISTICS: &str = "/tmp/keepalived.stats";
const JSON: &str = "/tmp/keepalived.json";

/// Writes a file of what the virtual routers are now. A disk that stalls holds nothing up;
/// what goes wrong is in the log.
pub(super) fn write(routers: &mut VirtualRouters, dump: Dump) {
    let process = std::process::id();
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let moment = Moment {
        now: Instant::now(),
        since_epoch: since_epoch.unwrap_or_default(),
    };
    let (path, text) = match dump {
        Dump::Data => {
            info!("Printing VRRP data for process({process}) on signal");
            (DATA, Ok(routers.data_dump(moment)))
        }
        Dump::StatisticsOnce => {
            info!("Printing and clearing VRRP stats for process({process}) on signal");
            let text = routers.statistics_dump();
            routers.clear_statistics();
            (STATISTICS, Ok(text))
        }
        Dump::Statistics => {
            info!("Printing VRRP stats for process({process}) on signal");
            (STATISTICS, Ok(routers.statistics_dump()))
        }
        Dump::Json => {
            info!("Printing VRRP as json for process({process}) on signal");
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
