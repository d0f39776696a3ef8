//! What others are told of virtual and real servers, in the words of keepalived.

use super::{RealServerName, virtual_server_name};
use crate::config::model::{RealServer, VirtualServer};
use crate::notification::{Mail, Notification};

const UP: &str = "UP";
const DOWN: &str = "DOWN";

/// A real server of `server` has come up or gone down.
pub fn real_server_notification(
    server: &VirtualServer,
    real_server: &RealServer,
    is_up: bool,
) -> Notification {
    let (word, script) = match is_up {
        true => (UP, &real_server.notify_up),
        false => (DOWN, &real_server.notify_down),
    };
    let name = RealServerName {
        service: &server.key,
        address: &real_server.address,
    };
    Notification {
        line: format!("RS {name} {} {word}", virtual_server_name(server)),
        scripts: script.iter().cloned().collect(),
        mail: real_server.smtp_alert.then(|| Mail {
            subject: format!(
                "Realserver {name} of virtual server {} - {word}",
                virtual_server_name(server)
            ),
            text: match is_up {
                true => "=> CHECK succeed on service <=".to_owned(),
                false => "=> CHECK failed on service <=".to_owned(),
            },
            about_fault: false,
        }),
    }
}

/// A virtual server has got its quorum, or has lost it.
pub fn quorum_notification(server: &VirtualServer, has_quorum: bool) -> Notification {
    let (word, script) = match has_quorum {
        true => (UP, &server.quorum_up),
        false => (DOWN, &server.quorum_down),
    };
    Notification {
        line: format!("VS {} {word}", virtual_server_name(server)),
        scripts: script.iter().cloned().collect(),
        mail: server.smtp_alert.then(|| Mail {
            subject: format!("Virtualserver {} - {word}", virtual_server_name(server)),
            text: match has_quorum {
                true => "=> Virtual server has got its quorum <=".to_owned(),
                false => "=> Virtual server has lost its quorum <=".to_owned(),
            },
            about_fault: false,
        }),
    }
}
