//! Asks the service on this machine how it is, for container platforms.

use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long the whole answer may take.
const DEADLINE: Duration = Duration::from_secs(3);
/// Only the status line is read.
const STATUS_LINE_BYTES: usize = 12;

/// Succeeds if `/health` on that port answers 200 in time.
pub(super) async fn ask(port: u16) -> anyhow::Result<()> {
    let answer = timeout(DEADLINE, status_line(port)).await;
    let line = answer.context("/health did not answer in time")??;
    ensure!(line == "HTTP/1.1 200", "/health answered {line}");
    Ok(())
}

async fn status_line(port: u16) -> anyhow::Result<String> {
    let address = ("127.0.0.1", port);
    let mut stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("nothing listens on port {port}"))?;
    let request = format!(
        "GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: healthcheck\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut line = [0_u8; STATUS_LINE_BYTES];
    stream.read_exact(&mut line).await.context("/health closed the connection")?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}
