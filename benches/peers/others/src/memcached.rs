//! Over a Unix socket, in its own words, since its clients say them in many small writes.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use crate::here;
use crate::subject::{Item, Subject};

struct Connected(BufReader<UnixStream>);

pub(crate) fn connect() -> Subject {
    let socket = UnixStream::connect(here("socket")).expect("a server");
    let memcached = Rc::new(RefCell::new(Connected(BufReader::new(socket))));
    let each = |call: fn(&mut Connected, &Item)| {
        let memcached = Rc::clone(&memcached);
        move |items: &[Item]| {
            for item in items {
                call(&mut memcached.borrow_mut(), item);
            }
            items.len()
        }
    };
    Subject::default()
        .with("set", each(Connected::set))
        .with("get", each(Connected::get))
        .with("delete", each(Connected::delete))
}

impl Connected {
    fn set(&mut self, Item { key, value }: &Item) {
        let length = value.len();
        let answer = self.ask(&format!("set {key} 0 0 {length}\r\n{value}\r\n"));
        assert_eq!(answer, "STORED\r\n");
    }

    fn get(&mut self, Item { key, .. }: &Item) {
        let answer = self.ask(&format!("get {key}\r\n"));
        let length = answer.trim_end().rsplit(' ').next();
        let length: usize = length.and_then(|it| it.parse().ok()).expect("a value");
        let mut value = vec![0; length];
        self.0.read_exact(&mut value).expect("a value");
        assert_eq!(
            (self.line(), self.line()),
            ("\r\n".into(), "END\r\n".into())
        );
    }

    fn delete(&mut self, Item { key, .. }: &Item) {
        assert_eq!(self.ask(&format!("delete {key}\r\n")), "DELETED\r\n");
    }

    fn ask(&mut self, question: &str) -> String {
        let socket = self.0.get_mut();
        socket.write_all(question.as_bytes()).expect("a server");
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("an answer");
        line
    }
}
