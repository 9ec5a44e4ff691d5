//! The site, written byte by byte, as no library would send it. One request for each connection.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::pages;

/// By the page that links to them.
fn paths(start: &str) -> Option<&'static [&'static str]> {
    Some(match start {
        "ways" => &["loop/a", "self", "endless/0", "away", "calendar/1"],
        "broken" => &[
            "drip", "silent", "reset", "gone", "short", "long", "huge", "length", "lengths",
            "chunks", "garbage", "headers", "gzip", "br", "deflate",
        ],
        "bombs" => &["bomb"],
        "words" => &[
            "utf-16",
            "shift-jis",
            "nul",
            "untyped",
            "nofollow",
            "noindex",
            "none",
        ],
        "scripts" => &["typed", "encoded", "titled", "missing?<script>\"&"],
        _ => return None,
    })
}

/// Where it is.
pub(super) fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // A crawler that has had enough hangs up.
            thread::spawn(move || drop(answer(connection)));
        }
    });
    url
}

fn answer(mut connection: TcpStream) -> io::Result<()> {
    let mut request = [0; 1 << 10];
    let length = connection.peek(&mut request)?;
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let path = request
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .trim_start_matches('/');
    if path == "reset" {
        // Closed with a request unread: that is a reset.
        return Ok(());
    }
    read_request(&mut connection)?;
    match path {
        "gone" => Ok(()),
        "silent" => hold(&mut connection),
        "drip" => drip(&mut connection),
        "headers" => {
            connection.write_all(b"HTTP/1.1 200 OK\r\n")?;
            loop {
                connection.write_all(b"X-More: and more\r\n")?;
            }
        }
        _ => match broken(path) {
            Some(bytes) => connection.write_all(bytes),
            None => sound(&mut connection, path),
        },
    }
}

/// Answers that are not HTTP.
fn broken(path: &str) -> Option<&'static [u8]> {
    Some(match path {
        "short" => b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nnot so long",
        "long" => b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 10\r\n\r\n0123456789<a href=/never>",
        "huge" => b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999999\r\n\r\nless",
        "length" => b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n0123456789",
        "lengths" => b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nwhich",
        "chunks" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nwhat?\r\n0\r\n\r\n",
        "garbage" => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        "gzip" => b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 24\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\x03not packed at all",
        _ => return None,
    })
}

/// What is no harm as a text, and would be as a part of a page.
pub(super) const SCRIPT: &str = "<script>'&\"</script>";

/// Answers that are, whatever they say.
fn sound(connection: &mut TcpStream, path: &str) -> io::Result<()> {
    const HTML: &str = "Content-Type: text/html";
    let link = format!("<title>日本</title><a href=/found/{path}>on</a>");
    let (folder, name) = path.split_once('/').unwrap_or(("", path));
    let number = name.parse::<u64>().unwrap_or_default();
    match (folder, name) {
        ("loop", "a") => redirect(connection, "/loop/b"),
        ("loop", _) => redirect(connection, "/loop/a"),
        ("", "self") => redirect(connection, "/self"),
        ("endless", _) => redirect(connection, &format!("/endless/{}", number + 1)),
        ("", "away") => redirect(connection, "http://other.invalid/"),
        ("calendar", _) => {
            let next = format!("<a href=/calendar/{}>next month</a>", number + 1);
            page(connection, HTML, next.as_bytes())
        }
        ("", "parsers") => {
            let names = pages::ALL.iter().map(|(name, _)| *name);
            index(connection, names.map(|name| format!("parser/{name}")))
        }
        ("parser", name) => match pages::html(name) {
            Some(html) => page(connection, HTML, html.as_bytes()),
            None => missing(connection),
        },
        ("", "bomb") => {
            let header = format!("{HTML}\r\nContent-Encoding: gzip");
            page(connection, &header, &bomb()?)
        }
        ("", "br" | "deflate") => {
            let header = format!("{HTML}\r\nContent-Encoding: {path}");
            page(connection, &header, b"\x0b\x02\x80<p>")
        }
        ("", "utf-16") => {
            let utf_16 = link.encode_utf16().flat_map(u16::to_le_bytes);
            let bytes: Vec<u8> = [0xff, 0xfe].into_iter().chain(utf_16).collect();
            page(connection, HTML, &bytes)
        }
        ("", "shift-jis") => {
            let (bytes, ..) = encoding_rs::SHIFT_JIS.encode(&link);
            page(connection, &format!("{HTML}; charset=Shift_JIS"), &bytes)
        }
        ("", "nul") => {
            let zeros = format!("\0<p\0>\0{link}").replace("<title>", "<title>\0");
            page(connection, HTML, zeros.as_bytes())
        }
        ("", "untyped") => {
            let html = format!("<!DOCTYPE html>\n<meta charset=utf-8>{link}");
            page(connection, "X-Type: none", html.as_bytes())
        }
        ("", "nofollow" | "noindex" | "none") => {
            let header = format!("{HTML}\r\nX-Robots-Tag: other: none\r\nX-Robots-Tag: {path}");
            page(connection, &header, link.as_bytes())
        }
        ("", "typed") => page(connection, &format!("Content-Type: {SCRIPT}"), b"x"),
        ("", "encoded") => page(connection, &format!("Content-Encoding: {SCRIPT}"), b"x"),
        ("", "titled") => {
            let html = format!("<title>{SCRIPT}</title><a href='/missing?<script>\"&'>on</a>");
            page(connection, HTML, html.as_bytes())
        }
        ("", start) => match paths(start) {
            Some(paths) => index(connection, paths.iter().copied().map(str::to_owned)),
            None => missing(connection),
        },
        _ => missing(connection),
    }
}

fn index(connection: &mut TcpStream, paths: impl Iterator<Item = String>) -> io::Result<()> {
    let links: String = paths
        .map(|path| format!("<a href='/{path}'>{path}</a>"))
        .collect();
    page(connection, "Content-Type: text/html", links.as_bytes())
}

fn page(connection: &mut TcpStream, header: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nConnection: close\r\n{header}\r\nContent-Length: {length}\r\n\r\n"
    )?;
    connection.write_all(body)
}

fn redirect(connection: &mut TcpStream, target: &str) -> io::Result<()> {
    write!(
        connection,
        "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
    )
}

fn missing(connection: &mut TcpStream) -> io::Result<()> {
    connection
        .write_all(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

/// A byte a second, until the crawler hangs up.
fn drip(connection: &mut TcpStream) -> io::Result<()> {
    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")?;
    connection.set_read_timeout(Some(Duration::from_secs(1)))?;
    while !matches!(connection.read(&mut [0]), Ok(0)) {
        connection.write_all(b"x")?;
    }
    Ok(())
}

/// Until the crawler hangs up.
fn hold(connection: &mut TcpStream) -> io::Result<()> {
    while connection.read(&mut [0; 100])? > 0 {}
    Ok(())
}

/// A few kilobytes that are 32 megabytes.
fn bomb() -> io::Result<Vec<u8>> {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    let blank = [b' '; 1 << 20];
    for _ in 0..32 {
        bomb.write_all(&blank)?;
    }
    bomb.finish()
}

fn read_request(connection: &mut TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    let mut part = [0; 1 << 10];
    while !request.ends_with(b"\r\n\r\n") {
        match connection.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => request.extend_from_slice(&part[..length]),
        }
    }
    Ok(())
}
