//! Real servers as they really are: nginx with TLS, exim and unbound, from Debian.

use elver_lab::wait::until_true;
use elver_lab::{Host, Lab, Program};
use rustix::process::Signal;

use crate::site::{LIMIT, Site, virtual_server};

const NGINX: &str = "
daemon off;
pid LAB/nginx.pid;
error_log stderr;
events {}
http {
    access_log LAB/access.log;
    client_body_temp_path LAB;
    proxy_temp_path LAB;
    fastcgi_temp_path LAB;
    uwsgi_temp_path LAB;
    scgi_temp_path LAB;
    server {
        listen 8080;
        listen 8443 ssl;
        server_name one.example;
        ssl_certificate LAB/one.pem;
        ssl_certificate_key LAB/one.key;
        location = / { return 200 hello; }
        location = /moved { return 301 /; }
        location = /ill { return 503; }
    }
    server {
        # An old version, and a certificate that is long over.
        listen 8444 ssl;
        ssl_protocols TLSv1;
        ssl_ciphers ALL:@SECLEVEL=0;
        ssl_certificate LAB/old.pem;
        ssl_certificate_key LAB/old.key;
        location = / { return 200 hello; }
    }
    server {
        # Only for clients that show the certificate which the lab has made for them.
        listen 8445 ssl;
        ssl_certificate LAB/two.pem;
        ssl_certificate_key LAB/two.key;
        ssl_client_certificate LAB/client.pem;
        ssl_verify_client on;
        location = / { return 200 $ssl_client_s_dn; }
    }
    server {
        listen 8443 ssl;
        server_name two.example;
        ssl_certificate LAB/two.pem;
        ssl_certificate_key LAB/two.key;
        location = / { return 200 $ssl_server_name; }
    }
}
";
const EXIM: &str = "
primary_hostname = mail.example
spool_directory = LAB/exim
log_file_path = syslog
exim_user = root
exim_group = root
keep_environment =
pid_file_path = LAB/exim.pid
daemon_smtp_ports = 2525
tls_advertise_hosts =
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = deny
begin routers
begin transports
";
const UNBOUND: &str = "
server:
    interface: 10.66.0.2@5353
    access-control: 0.0.0.0/0 allow
    username: \"\"
    chroot: \"\"
    directory: LAB
    pidfile: LAB/unbound.pid
    use-syslog: no
    do-daemonize: no
    auto-trust-anchor-file: \"\"
    local-zone: \"example.\" static
    local-data: \"example. SOA ns.example. root.example. 1 2 3 4 5\"
    local-data: \"www.example. A 192.0.2.1\"
    local-data: \"www.example. AAAA 2001:db8::1\"
    local-data: \"example. MX 10 mail.example.\"
    local-data: \"example. TXT words\"
    local-data: \"example. NS ns.example.\"
    local-data: \"other.example. CNAME www.example.\"
    local-data: \"example. DNSKEY 257 3 13 AAAA\"
    local-data: \"example. RRSIG SOA 13 1 60 20400101000000 20200101000000 1 example. AAAA\"
remote-control:
    control-enable: no
";

/// A certificate and its key, over before it was made where `expired`.
fn certificate(lab: &Lab, host: &Host, name: &str, expired: bool) {
    let of = |ending: &str| lab.directory().join(format!("{name}.{ending}"));
    let run = |command: std::process::Command| {
        let output = host.output(command, LIMIT).expect("openssl runs");
        output.success().expect("a certificate");
    };
    let mut command = host.command("openssl").expect("a command");
    let request = format!("req -x509 -newkey rsa:2048 -nodes -subj /CN={name}.example -days 30");
    command.args(request.split(' '));
    command
        .arg("-out")
        .arg(of("pem"))
        .arg("-keyout")
        .arg(of("key"));
    run(command);
    if expired {
        let mut command = host.command("openssl").expect("a command");
        command
            .args(["x509", "-days", "-1", "-in"])
            .arg(of("pem"))
            .arg("-signkey")
            .arg(of("key"))
            .arg("-out")
            .arg(of("old"));
        run(command);
        std::fs::rename(of("old"), of("pem")).expect("it is there");
    }
}

fn start(lab: &Lab, host: &Host) -> Vec<Program> {
    certificate(lab, host, "one", false);
    certificate(lab, host, "two", false);
    certificate(lab, host, "old", true);
    certificate(lab, host, "client", false);
    let directory = lab.directory().display().to_string();
    let exim = lab.directory().join("exim");
    std::fs::create_dir_all(exim).expect("a directory");
    let write = |name: &str, text: &str| {
        let file = lab.directory().join(name);
        std::fs::write(&file, text.replace("LAB", &directory)).expect("a file");
        file
    };
    let mut nginx = host.command("nginx").expect("a command");
    nginx
        .args(["-p", &directory, "-c"])
        .arg(write("nginx.conf", NGINX));
    let mut exim = host.command("exim4").expect("a command");
    exim.arg("-C").arg(write("exim.conf", EXIM)).arg("-bdf");
    let mut unbound = host.command("unbound").expect("a command");
    unbound
        .arg("-d")
        .arg("-c")
        .arg(write("unbound.conf", UNBOUND));
    let programs = [("nginx", nginx), ("exim", exim), ("unbound", unbound)];
    let programs =
        programs.map(|(name, command)| host.start(name, command).expect("it is installed"));
    let listens = || {
        let mut command = host.command("ss")?;
        command.args(["-Hlntu"]);
        let sockets = host.output(command, LIMIT)?.success()?;
        Ok([":8080", ":8443", ":8444", ":2525", ":5353"]
            .iter()
            .all(|port| sockets.contains(port)))
    };
    let explain = || programs.each_ref().map(Program::log).join("\n");
    until_true("real servers", LIMIT, listens, explain).expect("they listen");
    programs.into()
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_that_of_the_file() {
    let asked = "SSL_GET {; connect_port 8445; url {; path /; regex CN=client.example; }; }";
    let ssl = |more: &str| {
        format!("SSL {{\ncertificate LAB/client.pem\nkey LAB/client.key\n{more}\n}}\n")
    };
    let text = virtual_server(1, asked);
    let site = Site::with("checks-certificate", &(ssl("") + &text), |lab, host| {
        // Its key is for root alone, as those of directors are.
        let programs = start(lab, host);
        let key = lab.directory().join("client.key");
        let only_root = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(key, only_root).expect("it is there");
        programs
    });
    site.wait_for_log("Remote Web server [10.66.0.2]:tcp:1 succeed on service.");

    // Without one, and with one that is no use.
    for (block, cause) in [
        (String::new(), "HTTP status 400"),
        (ssl("").replace("client.key", "one.key"), "HTTP status 400"),
    ] {
        let directory = site.lab.directory();
        let text = (block + &text).replace("LAB", &directory.display().to_string());
        std::fs::write(directory.join("elver.conf"), text).expect("a file");
        site.director.signal(Signal::HUP).expect("it runs");
        let status = || site.elver(&["ctl", "status"]).expect("a status");
        let failed = || Ok(status().contains(cause));
        until_true(cause, LIMIT, failed, status).expect("it fails");
    }
    site.wait_for_log("SSL: checks show no certificate of this director");
}

#[test]
fn real_servers_from_debian_are_seen_as_they_are() {
    // `printf hello | md5sum`
    let hello = "url {; path /; digest 5d41402abc4b2a76b9719d911017c592; }";
    let named = "url {; path /; regex ^two.example$; }";
    let name = |what: &str| format!("DNS_CHECK {{; connect_port 5353; {what}; }}");
    let up = [
        format!("HTTP_GET {{; connect_port 8080; {hello}; }}"),
        format!("HTTP_GET {{; connect_port 8080; http_protocol 1.1; {hello}; }}"),
        "HTTP_GET {; connect_port 8080; url {; path /moved; status_code 301; }; }".to_owned(),
        format!("SSL_GET {{; connect_port 8443; {hello}; }}"),
        format!("SSL_GET {{; connect_port 8443; virtualhost two.example; enable_sni; {named}; }}"),
        // Neither versions nor certificates are held against anybody.
        format!("SSL_GET {{; connect_port 8444; {hello}; }}"),
        "SMTP_CHECK {; connect_port 2525; helo_name director.example; }".to_owned(),
        name("type SOA; name example"),
        name("type A; name www.example"),
        name("type AAAA; name www.example."),
        name("type MX; name example"),
        name("type TXT; name example"),
        name("type NS; name example"),
        name("type CNAME; name other.example"),
        name("type DNSKEY; name example"),
        name("type RRSIG; name example"),
    ];
    let down = [
        (
            "HTTP_GET {; connect_port 8080; url {; path /ill; }; }".to_owned(),
            "/ill has HTTP status 503",
        ),
        (
            "HTTP_GET {; connect_port 8080; url {; path /none; }; }".to_owned(),
            "/none has HTTP status 404",
        ),
        (
            "HTTP_GET {; connect_port 8080; url {; path /; digest 5d41402abc4b2a76b9719d911017c593; }; }".to_owned(),
            "/ has MD5 digest 5d41402abc4b2a76b9719d911017c592",
        ),
        (
            format!("SSL_GET {{; connect_port 8443; virtualhost one.example; enable_sni; {named}; }}"),
            "regular expression",
        ),
        // What speaks TLS answers this with 400.
        (
            "HTTP_GET {; connect_port 8443; url {; path /; }; }".to_owned(),
            "/ has HTTP status 400",
        ),
        (name("type A; name none.example"), "the answer is NXDOMAIN"),
    ];
    let all = up.iter().chain(down.iter().map(|(check, _)| check));
    let text: String = (1..)
        .zip(all)
        .map(|(port, check)| virtual_server(port, check))
        .collect();
    let site = Site::with("checks-programs-real", &text, start);
    for port in 1..=up.len() {
        let name = format!("[10.66.0.2]:tcp:{port}");
        let seen = || {
            let log = site.director.log();
            let of_it = |line: &&str| line.contains(&name) && !line.contains("VS ");
            let words = log.lines().rfind(of_it).unwrap_or_default();
            Ok(words.contains("succeed on service"))
        };
        until_true(&name, LIMIT, seen, || site.director.log()).expect("a success");
    }
    for (port, (_, cause)) in (up.len() + 1..).zip(&down) {
        let line = format!("on service [10.66.0.2]:tcp:{port} failed.");
        site.wait_for_log(&line);
        let log = site.director.log();
        let said = log.lines().find(|said| said.contains(&line)).unwrap();
        assert!(said.contains(cause), "{port}: {said}");
    }

    // A server that ends in order, and one that is killed.
    site.programs[0].signal(Signal::QUIT).expect("it ends");
    site.programs[1].signal(Signal::KILL).expect("it ends");
    site.wait_for_destinations(1, &[]);
    site.wait_for_destinations(7, &[]);
    site.wait_for_destinations(8, &["10.66.0.2:8 1"]);
}
