//! What the person who typed the command is asked; questions go to standard error.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, bail, ensure};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use crate::auth::password;

/// Where a new password comes from.
#[derive(Debug, Args)]
pub(super) struct Password {
    /// Read the password from standard input; else it is asked for on a terminal, or made up
    #[arg(long)]
    password_stdin: bool,
}

/// A password, and whether its owner has to be told.
pub(super) struct Chosen {
    /// What was chosen.
    pub(super) text: SecretString,
    /// Whether this process made it up.
    pub(super) generated: bool,
}

/// One line of standard input without its end; empty where there is no more.
pub(super) fn line(question: &str) -> anyhow::Result<String> {
    ask(question)?;
    let line = next_line();
    // Nobody has typed an end of line after the question.
    if !io::stdin().is_terminal() {
        ask("\n")?;
    }
    line
}

impl Password {
    /// The password for that address: the next line of standard input if it comes from there,
    /// else what a person types unseen, else one made up. Fails if it breaks a rule.
    pub(super) fn choose(&self, email: &str) -> anyhow::Result<Chosen> {
        let typed = if self.password_stdin {
            let line = next_line()?;
            ensure!(!line.is_empty(), "standard input holds no password");
            line
        } else if io::stdin().is_terminal() {
            typed_twice(email)?
        } else {
            String::new()
        };
        if typed.is_empty() {
            return Ok(Chosen { text: password::generate(), generated: true });
        }
        if let Some(fault) = password::fault(&typed) {
            bail!(fault);
        }
        ensure!(typed.len() <= password::LONGEST_BYTES, "Password must be at most 72 bytes long");
        Ok(Chosen { text: typed.into(), generated: false })
    }
}

impl Chosen {
    /// bcrypt of it.
    pub(super) fn hash(&self) -> anyhow::Result<String> {
        password::hash(self.text.expose_secret()).context("the password could not be hashed")
    }

    /// The text, if nobody knows it yet.
    pub(super) fn news(&self) -> Option<&str> {
        self.generated.then(|| self.text.expose_secret())
    }
}

fn typed_twice(email: &str) -> anyhow::Result<String> {
    let unseen = |question: String| {
        ask(&question)?;
        rpassword::read_password().context("the terminal cannot be read")
    };
    let first = unseen(format!("Password for {email} (empty: one is made up): "))?;
    if !first.is_empty() {
        ensure!(first == unseen("The same again: ".to_owned())?, "the passwords differ");
    }
    Ok(first)
}

fn ask(question: &str) -> io::Result<()> {
    let mut stderr = io::stderr();
    stderr.write_all(question.as_bytes())?;
    stderr.flush()
}

fn next_line() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("standard input cannot be read")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
