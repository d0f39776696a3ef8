//! The kernel's own IPVS beside elver.

use std::path::Path;

use crate::balanced::Said;
use crate::side::{Side, vip};

/// A filled table of the kernel keeps elver from starting, and says why; elver has touched
/// nothing by then.
pub(crate) fn is_refused_where_it_is_filled(side: &Side, elver: &Path) {
    let ipvsadm = Path::new("/usr/sbin/ipvsadm");
    let service = format!("{}:80", vip(0));
    let added = side
        .director
        .run(ipvsadm, &["-A", "-t", &service, "-s", "rr"]);
    assert_eq!(added.status, Some(0), "{added:?}");
    let refused = run(side, elver);
    let cleared = side.director.run(ipvsadm, &["-C"]);
    assert_eq!(cleared.status, Some(0), "{cleared:?}");
    assert_eq!(refused.status, Some(15), "{refused:?}");
    assert!(
        refused
            .errors
            .contains("the kernel's IPVS has 1 virtual service"),
        "{refused:?}"
    );
    assert!(refused.errors.contains("ipvsadm -C"), "{refused:?}");
}

fn run(side: &Side, elver: &Path) -> Said {
    let configuration = "/tmp/oracle-refused.conf";
    std::fs::write(configuration, "global_defs {\n}\n").expect("a file");
    side.director.run(elver, &["run", "-f", configuration])
}
