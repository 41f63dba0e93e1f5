//! `deckle admin template fetch`: only the right bytes are taken in, however they arrive.

use std::fs;

use serde_json::json;

use crate::canned::{Answer, Canned, Script, ok};
use crate::objects::template;
use crate::world::World;

/// The bytes of the image, and their checksum.
const IMAGE: &[u8] = b"abc";
const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const GET_IMAGE: &str = "GET /tiny.img";
const GET_LIST: &str = "GET /SHA256SUMS";

fn list() -> (&'static str, Answer) {
    (GET_LIST, Answer::Whole(200, vec![], format!("{SHA256} *tiny.img\n").into()))
}

fn taken_in() -> (&'static str, Answer) {
    let taken_in = json!({"template": template("ttiny", "tiny"), "hasAgent": false, "sizeBytes": 3});
    ("POST /admin/templates", ok(taken_in))
}

/// The look at what is there already.
fn others() -> (&'static str, Answer) {
    let other = json!({"template": template("tother", "other"), "hasAgent": true, "sizeBytes": 3});
    ("GET /admin/templates", ok(json!([other])))
}

/// A world with a catalogue that names a vendor, and a server that takes images in.
fn world(story: &'static str, vendor: Script, server: Script) -> (World, Canned, Canned) {
    let mut world = World::nowhere(story);
    let vendor = Canned::start(vendor);
    let server = Canned::on_socket(&world.state().join("admin.sock"), server);
    let url = &vendor.url;
    let catalogue = format!(
        "[[template]]\nname = 'tiny'\nlabel = 'Tiny'\nurl = '{url}/tiny.img'\nsums = '{url}/SHA256SUMS'\n"
    );
    fs::write(world.home().join("catalogue.toml"), catalogue).unwrap();
    world.stands_for("VENDOR", url);
    world.stands_for("VENDOR", url.trim_start_matches("http://"));
    (world, vendor, server)
}

const FETCH: &str = "admin template fetch tiny --catalogue catalogue.toml";

fn downloads(world: &World) -> Vec<String> {
    let files = fs::read_dir(world.state().join("downloads")).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn an_image_is_downloaded_once_and_checked_each_time() {
    let image = (GET_IMAGE, Answer::Whole(200, vec![], IMAGE.to_vec()));
    let (mut world, vendor, server) =
        world("fetch", vec![list(), image, list()], vec![others(), taken_in(), others(), taken_in()]);
    world.run(FETCH);
    world.run(FETCH);
    world.run("admin template fetch other --catalogue catalogue.toml");
    vendor.asked();
    let body: serde_json::Value = serde_json::from_str(&server.asked()[1].body).unwrap();
    let file = world.state().join("downloads/ba7816bf8f01cfea-tiny.img");
    assert_eq!(fs::read(&file).unwrap(), IMAGE);
    assert_eq!(
        body,
        json!({"file": file, "name": "tiny", "operatingSystemLabel": "Tiny", "hasAgent": false})
    );
}

#[test]
fn nothing_is_downloaded_in_vain() {
    let there = json!({"template": template("ttiny", "tiny"), "hasAgent": false, "sizeBytes": 3});
    let server = vec![("GET /admin/templates", ok(json!([there])))];
    let (mut world, vendor, server) = world("fetch_second", vec![], server);
    world.run(FETCH);
    vendor.asked();
    server.asked();
}

#[test]
fn wrong_bytes_are_thrown_away_and_not_taken_in() {
    let image = (GET_IMAGE, Answer::Whole(200, vec![], b"abd".to_vec()));
    let (mut world, vendor, server) = world("fetch_mismatch", vec![list(), image], vec![others()]);
    world.run(FETCH);
    vendor.asked();
    server.asked();
    assert_eq!(downloads(&world), Vec::<String>::new());
}

#[test]
fn a_download_goes_on_where_it_broke_off() {
    let rest = vec![("content-range", "bytes 2-2/3".to_owned())];
    let vendor = vec![
        list(),
        (GET_IMAGE, Answer::BrokenOff { announced: 3, body: b"ab".to_vec() }),
        (GET_IMAGE, Answer::HangUp),
        (GET_IMAGE, Answer::Whole(206, rest, b"c".to_vec())),
    ];
    let (world, vendor, server) = world("fetch_resumed", vendor, vec![others(), taken_in()]);
    assert!(world.command(FETCH).status().unwrap().success());
    let asked = vendor.asked();
    assert_eq!(asked[1].headers.get("range"), None);
    assert_eq!(asked[3].headers["range"], "bytes=2-");
    server.asked();
}

#[test]
fn a_server_that_cannot_go_on_begins_anew() {
    let image = (GET_IMAGE, Answer::Whole(200, vec![], IMAGE.to_vec()));
    let (world, vendor, server) = world("fetch_anew", vec![list(), image], vec![others(), taken_in()]);
    let folder = world.state().join("downloads");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("ba7816bf8f01cfea-tiny.img.part"), "xx").unwrap();
    assert!(world.command(FETCH).status().unwrap().success());
    assert_eq!(vendor.asked()[1].headers["range"], "bytes=2-");
    server.asked();
}

#[test]
fn a_whole_file_that_rotted_is_fetched_again() {
    let image = (GET_IMAGE, Answer::Whole(200, vec![], IMAGE.to_vec()));
    let (world, vendor, server) = world("fetch_rotted", vec![list(), image], vec![others(), taken_in()]);
    let folder = world.state().join("downloads");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("ba7816bf8f01cfea-tiny.img"), "rotten").unwrap();
    assert!(world.command(FETCH).status().unwrap().success());
    assert_eq!(fs::read(folder.join("ba7816bf8f01cfea-tiny.img")).unwrap(), IMAGE);
    vendor.asked();
    server.asked();
}

#[test]
fn a_redirect_is_followed() {
    let moved = |to: &str| Answer::Whole(302, vec![("location", to.to_owned())], vec![]);
    let image = Answer::Whole(200, vec![], IMAGE.to_vec());
    let vendor = vec![list(), (GET_IMAGE, moved("/mirror/tiny")), ("GET /mirror/tiny", image)];
    let (world, vendor, server) = world("fetch_moved", vendor, vec![others(), taken_in()]);
    assert!(world.command(FETCH).status().unwrap().success());
    vendor.asked();
    server.asked();
}

#[test]
fn a_list_that_leaves_tls_is_not_believed() {
    let away = Answer::Whole(302, vec![("location", "http://mirror.example.org/SUMS".to_owned())], vec![]);
    let (mut world, vendor, server) = world("fetch_untrusted", vec![(GET_LIST, away)], vec![others()]);
    world.run(FETCH);
    vendor.asked();
    server.asked();
}
