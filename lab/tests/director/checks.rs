//! Health checks decide who gets connections.

use std::collections::BTreeSet;

use crate::site::{Site, wait_for_real_servers};

#[test]
fn a_real_server_that_fails_its_check_leaves_and_comes_back() {
    let mut site = Site::new("health", 1);
    let director = site.serve();
    let [first, second] = site.addresses()[..] else {
        panic!("two real servers")
    };

    site.real_servers[0].checked = None;
    wait_for_real_servers(&director, &[second]);
    let answers: BTreeSet<_> = (0..4).map(|_| site.who_answers()).collect();
    assert_eq!(answers, BTreeSet::from(["real-server2".to_owned()]));

    site.real_servers[0].start_checked();
    wait_for_real_servers(&director, &[first, second]);
    let answers: BTreeSet<_> = (0..4).map(|_| site.who_answers()).collect();
    assert_eq!(answers.len(), 2, "{answers:?}");
}

#[test]
fn a_real_server_that_is_down_at_the_start_comes_later() {
    let mut site = Site::new("down-first", 1);
    let [first, second] = site.addresses()[..] else {
        panic!("two real servers")
    };
    site.real_servers[1].checked = None;
    let director = site.start(
        0,
        &crate::configuration::Configuration::new(&[first, second]),
    );
    crate::site::wait_until_master(&director);
    wait_for_real_servers(&director, &[first]);
    site.real_servers[1].start_checked();
    wait_for_real_servers(&director, &[first, second]);
}

#[test]
fn a_check_disturbs_no_connection_to_another_real_server() {
    let mut site = Site::new("undisturbed", 1);
    let director = site.serve();
    let mut conversations: Vec<_> = (0..2)
        .map(|_| site.connect().expect("a connection"))
        .collect();
    conversations.sort_by_key(|conversation| conversation.greeting().name.clone());
    site.real_servers[0].checked = None;
    wait_for_real_servers(&director, &[site.real_servers[1].address]);
    conversations[1]
        .echo("still here")
        .expect("the other real server's connection goes on");
}
