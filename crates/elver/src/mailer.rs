//! Sending mail, in a thread of its own: a mail server that hangs holds nobody up.

use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::time::Duration;

use elver_core::config::model::Global;
use elver_core::notification::Mail;
use lettre::address::Envelope;
use lettre::message::{Mailbox, header};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Message, SmtpTransport, Transport};

/// How many mails may wait for a server that is slow.
const WAITING: usize = 1000;
/// keepalived's `smtp_connect_timeout`, and how long each answer of the server may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends mail as `global_defs` says; it does nothing while nobody is to get any.
#[derive(Default)]
pub(crate) struct Mailer {
    settings: Option<Settings>,
    queue: Option<SyncSender<(Settings, Mail)>>,
}

/// How a mail is sent, and to whom.
#[derive(Debug, Clone, PartialEq)]
struct Settings {
    /// The mail server and its port.
    server: (String, u16),
    helo: ClientId,
    timeout: Duration,
    /// Name of this director.
    router_id: String,
    from: Mailbox,
    to: Vec<Mailbox>,
    of_faults: bool,
}

impl Mailer {
    /// Sends from now on as this says.
    pub(crate) fn configure(&mut self, global: &Global) {
        self.settings = settings(global);
    }

    /// Sends a mail, in the order of these calls. What goes wrong is in the log.
    pub(crate) fn send(&mut self, mail: Mail) {
        let Some(settings) = &self.settings else {
            return;
        };
        if mail.about_fault && !settings.of_faults {
            return;
        }
        let queue = self.queue.get_or_insert_with(start);
        match queue.try_send((settings.clone(), mail)) {
            Ok(()) => {}
            Err(TrySendError::Full((_, mail))) => {
                tracing::warn!("not mailed, {WAITING} mails wait: {}", mail.subject);
            }
            Err(TrySendError::Disconnected((_, mail))) => {
                tracing::error!("not mailed, the mailer has ended: {}", mail.subject);
            }
        }
    }
}

fn start() -> SyncSender<(Settings, Mail)> {
    let (queue, mails) = mpsc::sync_channel::<(Settings, Mail)>(WAITING);
    std::thread::spawn(move || {
        for (settings, mail) in mails {
            match deliver(&settings, &mail) {
                Ok(()) => tracing::info!("Remote SMTP server: mailed {}", mail.subject),
                Err(error) => tracing::error!("not mailed: {}: {error}", mail.subject),
            }
        }
    });
    queue
}

fn settings(global: &Global) -> Option<Settings> {
    let server = global.smtp_server.clone()?;
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    let mailbox = |address: &str| match address.parse() {
        Ok(mailbox) => Some(mailbox),
        Err(error) => {
            tracing::error!("`{address}` gets no mail: {error}");
            None
        }
    };
    let to: Vec<Mailbox> = global
        .notification_email
        .iter()
        .filter_map(|address| mailbox(address))
        .collect();
    let from = global.notification_email_from.clone();
    let from = mailbox(&from.unwrap_or_else(|| format!("root@{host}")))?;
    if to.is_empty() {
        return None;
    }
    let helo = global
        .smtp_helo_name
        .clone()
        .unwrap_or_else(|| host.clone());
    Some(Settings {
        server,
        helo: ClientId::Domain(helo),
        timeout: global.smtp_connect_timeout.unwrap_or(PATIENCE),
        router_id: global.router_id.clone().unwrap_or(host),
        from,
        to,
        of_faults: !global.no_mail_of_faults,
    })
}

fn deliver(settings: &Settings, mail: &Mail) -> Result<(), Box<dyn std::error::Error>> {
    let mut message = Message::builder()
        .from(settings.from.clone())
        .subject(format!("[{}] {}", settings.router_id, mail.subject))
        .user_agent("elver".to_owned())
        .header(header::ContentType::TEXT_PLAIN);
    for to in &settings.to {
        message = message.to(to.clone());
    }
    let message = message.body(format!("{}\r\n", mail.text))?;
    let envelope = Envelope::new(
        Some(settings.from.email.clone()),
        settings.to.iter().map(|to| to.email.clone()).collect(),
    )?;
    let (host, port) = &settings.server;
    SmtpTransport::builder_dangerous(host)
        .port(*port)
        .hello_name(settings.helo.clone())
        .timeout(Some(settings.timeout))
        .build()
        .send_raw(&envelope, &message.formatted())?;
    Ok(())
}
