//! HAProxy in front of servers on loopback, with no stickiness of any kind.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::folder::Folder;
use super::guard::Guard;

const START: Duration = Duration::from_secs(10);
/// Debian keeps it off the PATH of users.
const PROGRAM: &str = "/usr/sbin/haproxy";

/// A balancer that sends each request to a server at random, also those of one connection. It
/// leaves out what does not answer `/ready` with 200, appends to `X-Forwarded-For`, and names the
/// server that answered in the header `x-served-by`.
#[derive(Debug)]
pub struct Haproxy {
    _guard: Guard,
    port: u16,
    _folder: Folder,
}

impl Haproxy {
    /// Starts one on a free port in front of servers on these ports of loopback.
    pub fn start(backends: &[u16]) -> anyhow::Result<Self> {
        let (port, folder) = (super::free_port()?, Folder::create("haproxy")?);
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, configuration(port, backends))?;
        let mut command = Command::new(program());
        command.arg("-db").arg("-f").arg(&file);
        let log = folder.path().join("log");
        let mut guard = Guard::spawn(&command, &log)?;
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if guard.exit_code()?.is_some() || started.elapsed() > START {
                bail!("haproxy did not start: {}", std::fs::read_to_string(&log)?);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Self { _guard: guard, port, _folder: folder })
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

fn program() -> &'static str {
    if Path::new(PROGRAM).exists() { PROGRAM } else { "haproxy" }
}

/// A server that refuses a connection is passed over; one that took the request is not, since it
/// may have acted on it.
fn configuration(port: u16, backends: &[u16]) -> String {
    let server = |(at, port): (usize, &u16)| format!("    server replica{at} 127.0.0.1:{port}\n");
    let servers: String = backends.iter().enumerate().map(server).collect();
    format!(
        "global
    maxconn 2000
    nbthread 1
defaults
    mode http
    timeout http-request 10s
    timeout connect 2s
    timeout client 75s
    timeout server 75s
    timeout tunnel 1h
    option http-server-close
    option redispatch 1
    retries 3
    retry-on conn-failure
frontend clients
    bind 127.0.0.1:{port}
    option forwardfor
    default_backend replicas
backend replicas
    balance random(1)
    option httpchk GET /ready
    http-check expect status 200
    default-server check inter 300ms fastinter 100ms fall 2 rise 1
    http-response set-header x-served-by %s
{servers}"
    )
}
