"""Move damping: an address that goes to and fro is kept where it was."""

from tests.support.frames import A, B, D, frame


def fight(switch, n):
    """The owner `a` and a thief `b` use D in turn, the thief first, each `n` times."""
    for _ in range(n):
        switch.send("b", frame(src=D))
        switch.send("a", frame(src=D))


def three(switch):
    for name in "abc":
        switch.port(name)
    switch.send("a", frame(src=D))
    switch.sent()
    switch.events()


def owner(switch):
    return next(port for _, mac, port in switch.fdb() if mac == D)


def test_four_moves_are_free_and_the_fifth_is_refused(switch):
    three(switch)
    fight(switch, 2)
    assert owner(switch) == "a"
    assert switch.drops("b") == {}
    switch.send("b", frame(src=D))
    assert owner(switch) == "a"
    assert switch.drops("b") == {"move_damping": 1}
    assert [event for event in switch.events() if event["event"] == "move_damping"] == [
        {"event": "move_damping", "port": "b", "mac": D, "vlan": 0, "from": "a"}]
    switch.sent()
    switch.send("c", frame(D, B))
    assert switch.sent() == {"a": [frame(D, B)]}


def test_going_on_keeps_it_there(switch):
    three(switch)
    fight(switch, 2)
    for _ in range(20):
        switch.send("b", frame(src=D))
        switch.wait(9)
        assert owner(switch) == "a"
    assert switch.drops("b") == {"move_damping": 20}


def test_silence_lets_it_move_again(switch):
    three(switch)
    fight(switch, 2)
    switch.send("b", frame(src=D))
    switch.wait(10)
    switch.send("b", frame(src=D))                   # still refused, and begins anew
    switch.wait(11)
    switch.send("b", frame(src=D))
    assert owner(switch) == "b"


def test_slow_moves_are_free(switch):
    three(switch)
    for _ in range(20):
        switch.send("b", frame(src=D))
        switch.wait(1)
        switch.send("a", frame(src=D))
        switch.wait(1)
    assert switch.drops("a") == switch.drops("b") == {}
    assert switch.core.counters("a")["moved"] == switch.core.counters("b")["moved"] == 20


def test_moves_are_reported(switch):
    three(switch)
    switch.send("b", frame(src=D))
    assert switch.events() == [{"event": "moved", "port": "b", "mac": D, "vlan": 0, "from": "a"}]


def test_a_new_entry_begins_with_no_moves(switch):
    three(switch)
    fight(switch, 2)
    switch.core.fdb_flush()
    switch.send("a", frame(src=D))
    switch.send("b", frame(src=D))
    assert owner(switch) == "b"
    switch.send("a", frame(src=A))
    assert switch.drops("a") == {}


def test_the_quota_follows_a_move(switch):
    switch.port("a", max_macs=1)
    switch.port("b", max_macs=1)
    switch.send("a", frame(src=D))
    switch.send("b", frame(src=D))
    switch.send("b", frame(src=B))
    assert switch.drops("b") == {"max_macs": 1}
    switch.send("a", frame(src=A))
    assert switch.fdb() == {(0, D, "b"), (0, A, "a")}
    switch.send("a", frame(src=D))                   # no place for it
    assert switch.drops("a") == {"max_macs": 1}
    assert owner(switch) == "b"
    switch.set("a", when_full="forward")
    switch.send("a", frame(src=D))
    assert switch.drops("a") == {"max_macs": 1}
