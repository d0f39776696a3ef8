//! Reading the configuration again: because somebody asks, or because it is time
//! (`reload_time_file`); and who is told that it is being read (`reload_file`).

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use elver_core::check::messages::ToChecks;
use elver_core::config::model::{BusyFile, Configuration, Reloading};
use elver_core::config::{self, Secrets};
use elver_core::reload_time::ReloadTime;
use elver_sys::calendar::{CalendarTime, calendar_at, seconds_of};
use elver_sys::dump_file;

use super::address_record::addresses_of;
use super::services::ServerPlaces;
use super::{Director, HOST_RECORD, RECORD, preconditions, warn_of};
use crate::configuration::Errors;
use crate::failure::Failure;
use crate::instance::{Instance, remove_if_there};
use crate::settings::Settings;

impl Director {
    /// Reads the file again. If it cannot run, everything stays as it is.
    pub(super) fn reload(&mut self) -> Result<(), Failure> {
        match self.manner.of_real_server {
            true => tracing::info!("Reloading"),
            false => tracing::info!("Reloading {}", self.files.origin.file.display()),
        }
        self.service_manager.reloading();
        let result = self.take_up_file();
        self.service_manager.ready();
        match &result {
            Ok(()) => tracing::info!("Reload complete"),
            Err(failure) => tracing::error!("Not reloaded, nothing has changed: {failure}"),
        }
        result
    }

    fn take_up_file(&mut self) -> Result<(), Failure> {
        let reloading = &self.configuration.global.reloading;
        let busy = busy_file(reloading, &self.instance);
        if let Some(path) = &busy {
            said("made", path, make_busy_file(path));
        }
        let read = self.files.configuration(&self.manner, Errors::Forbid);
        if let Some(path) = &busy {
            said("removed", path, remove_if_there(path));
        }
        let configuration = read?;
        self.manner
            .hold_fast(&configuration, &self.written, &self.instance);
        self.take_up(configuration)
    }

    /// Brings a configuration into force, in the place of the one that is.
    fn take_up(&mut self, written: Configuration) -> Result<(), Failure> {
        let settings = Settings::load(self.files.settings.as_deref())?;
        let links = self
            .netlink
            .links()
            .map_err(Failure::system("reading interfaces"))?;
        preconditions::interfaces(&written, &links)?;
        // What can fail comes first.
        self.discovery.configure(&settings)?;
        let configuration = self.discovery.merged(&written);
        self.data_plane.set_access(settings.access())?;
        self.data_plane.set_behaviour(&settings.behaviour());
        self.data_plane.set_mark_rules(&settings.mark_rules());
        // Until the vrrp process has withdrawn what is no more, both are on record.
        self.address_record
            .add(&addresses_of(&configuration))
            .map_err(Failure::system(RECORD))?;
        self.host_record
            .add(&configuration)
            .map_err(Failure::system(HOST_RECORD))?;
        let plan = self.plan(&configuration);
        self.written = written;
        self.configuration = configuration;
        self.name_process();
        self.follow_files();
        self.servers = ServerPlaces::of(&self.configuration);
        self.configure_notifications();
        let checks = self.carry_out(plan);
        if let Some(child) = &self.check.child {
            child.tell(ToChecks::Certificate(self.certificate_texts()));
        }
        self.virtual_routers.retain(&self.configuration);
        self.addresses_changed();
        warn_of(&settings);
        self.look_at_firewall(&settings);
        self.acceptance.enforce(&self.configuration);
        match &self.vrrp.child {
            Some(child) => child.tell(
                self.virtual_routers
                    .command(&self.configuration, &self.instance),
            ),
            None => self.start_vrrp(),
        }
        self.tell_checks(checks);
        self.end_check_paths();
        self.suspend_checks();
        self.watch_files();
        self.schedule_children();
        self.watch_vrrp();
        Ok(())
    }

    /// What is to be done about the files of a configuration that has just come into force.
    pub(super) fn follow_files(&mut self) {
        let reloading = &self.configuration.global.reloading;
        self.timetable.follow(reloading);
        if let Some(path) = busy_file(reloading, &self.instance) {
            // Who waits for it to go need not wait any more.
            said("removed", &path, remove_if_there(&path));
        }
        self.configurations += 1;
        let saved = save_copy(&self.configuration, self.configurations);
        if let Err(error) = saved {
            tracing::warn!("config_save_dir: the configuration is not saved: {error}");
        }
    }

    /// Reads the file again if it is time.
    pub(super) fn reload_in_time(&mut self) {
        let is_due = self.timetable.is_due(Instant::now());
        if is_due {
            tracing::info!("it is the time that reload_time_file says");
            // What went wrong is in the log.
            let _ = self.reload();
            self.timetable.done(&self.configuration.global.reloading);
        }
    }
}

fn said(what: &str, path: &Path, done: io::Result<()>) {
    if let Err(error) = done {
        tracing::warn!("{} is not {what}: {error}", path.display());
    }
}

/// Where the file is that is there while the configuration is being read.
fn busy_file(reloading: &Reloading, instance: &Instance) -> Option<PathBuf> {
    Some(match reloading.busy_file.as_ref()? {
        BusyFile::At(path) => PathBuf::from(path),
        BusyFile::Usual if instance.is_default() => PathBuf::from("/run/keepalived.reload"),
        BusyFile::Usual => PathBuf::from(format!("/run/keepalived/keepalived_{instance}.reload")),
    })
}

fn make_busy_file(path: &Path) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
        .map(drop)
}

/// Keeps a copy of a configuration, which is the `number`th of this process.
fn save_copy(configuration: &Configuration, number: u32) -> io::Result<()> {
    let Some(folder) = &configuration.global.copies else {
        return Ok(());
    };
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let name = format!("keepalived.conf.{}.{number}", std::process::id());
    let text = config::dump(configuration, Secrets::Hidden);
    dump_file::write(&Path::new(folder).join(name), &text)
}

/// When the file is read again by itself.
#[derive(Debug, Default)]
pub(super) struct Timetable {
    file: Option<PathBuf>,
    /// When the file was written that says it.
    written: Option<SystemTime>,
    said: Option<ReloadTime>,
    due: Option<Instant>,
}

impl Timetable {
    /// Follows the file that a configuration names.
    fn follow(&mut self, reloading: &Reloading) {
        let file = reloading.time_file.as_ref().map(PathBuf::from);
        if self.file != file {
            *self = Timetable {
                file,
                ..Timetable::default()
            };
        }
        self.look();
    }

    /// Looks whether the file says something else now, or the clock was set.
    pub(super) fn look(&mut self) {
        let Some(path) = self.file.clone() else {
            return;
        };
        let written = path.metadata().and_then(|file| file.modified()).ok();
        if written != self.written {
            self.written = written;
            self.said = match std::fs::read_to_string(&path) {
                Ok(text) => {
                    let line = text.lines().next().unwrap_or_default();
                    let read = line.parse();
                    if let Err(error) = &read {
                        tracing::warn!("{} says no time: {error}", path.display());
                    }
                    read.ok()
                }
                Err(_) => None,
            };
            self.plan();
            if self.due.is_some() {
                tracing::info!("a reload is planned, as {} says", path.display());
            }
        } else if self.due.is_some_and(|due| due > Instant::now()) {
            self.plan();
        }
    }

    fn plan(&mut self) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = since.unwrap_or_default();
        let wait = self.said.and_then(|said| wait_for(said, now).ok()?);
        self.due = wait.map(|wait| Instant::now() + wait);
    }

    /// When it is time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// The time has come, and been made use of.
    fn done(&mut self, reloading: &Reloading) {
        if let Some(path) = self.file.as_ref().filter(|_| !reloading.repeats) {
            said("removed", path, remove_if_there(path));
            self.said = None;
        }
        self.plan();
    }
}

/// How long it is until that time, which is none of the past; `now` is counted from 1970.
fn wait_for(said: ReloadTime, now: Duration) -> io::Result<Option<Duration>> {
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let today = calendar_at(seconds, said.utc)?;
    let on = |year, month, day| {
        let at = CalendarTime {
            year,
            month,
            day,
            time: said.time,
        };
        seconds_of(at, said.utc)
    };
    let at = match said.date {
        Some((year, month, day)) => on(year, month, day)?,
        None => match on(today.year, today.month, today.day)? {
            past if past <= seconds => on(today.year, today.month, today.day + 1)?,
            at => at,
        },
    };
    let at = Duration::from_secs(u64::try_from(at).unwrap_or_default());
    Ok(at.checked_sub(now).filter(|wait| !wait.is_zero()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_comes_today_or_tomorrow_and_a_date_once() {
        // 2026-11-23 08:00:00 UTC.
        let now = Duration::from_secs(1_795_420_800);
        let wait = |line: &str| wait_for(line.parse().unwrap(), now).unwrap();
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        assert_eq!(wait("09:00:00Z"), hours(1));
        assert_eq!(wait("07:00:00Z"), hours(23));
        assert_eq!(wait("08:00:00Z"), hours(24));
        assert_eq!(wait("2026-11-24 08:00:00Z"), hours(24));
        assert_eq!(wait("26-11-30 09:00:00Z"), hours(7 * 24 + 1));
        assert_eq!(wait("2026-11-22 08:00:00Z"), None);
    }

    #[test]
    fn the_file_of_times_is_followed_and_goes_once_it_was_of_use() {
        let path = std::env::temp_dir().join(format!("reload-time-{}", std::process::id()));
        let reloading = |repeats| Reloading {
            time_file: Some(path.display().to_string()),
            repeats,
            busy_file: None,
        };
        let mut timetable = Timetable::default();
        timetable.follow(&reloading(false));
        assert_eq!(timetable.deadline(), None, "there is no file");
        std::fs::write(&path, "2100-01-01 00:00:00Z\n").unwrap();
        timetable.look();
        assert!(timetable.deadline().is_some());
        assert!(!timetable.is_due(Instant::now()));
        timetable.done(&reloading(true));
        assert!(path.exists());
        assert!(timetable.deadline().is_some(), "the day is still to come");
        timetable.done(&reloading(false));
        assert!(!path.exists());
        assert_eq!(timetable.deadline(), None);
    }

    #[test]
    fn the_busy_file_is_where_keepalived_has_it() {
        let at = |busy_file, instance: &str| {
            let reloading = Reloading {
                busy_file,
                ..Reloading::default()
            };
            busy_file_of(&reloading, instance)
        };
        assert_eq!(at(None, "default"), None);
        let usual = at(Some(BusyFile::Usual), "default");
        assert_eq!(usual.as_deref(), Some("/run/keepalived.reload"));
        let named = at(Some(BusyFile::Usual), "blue");
        assert_eq!(
            named.as_deref(),
            Some("/run/keepalived/keepalived_blue.reload")
        );
        let own = at(Some(BusyFile::At("/run/busy".to_owned())), "blue");
        assert_eq!(own.as_deref(), Some("/run/busy"));
    }

    fn busy_file_of(reloading: &Reloading, instance: &str) -> Option<String> {
        let path = busy_file(reloading, &instance.parse().unwrap());
        path.map(|path| path.display().to_string())
    }
}
