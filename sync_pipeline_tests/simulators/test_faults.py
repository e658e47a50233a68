"""Armed faults: which calls a fault hits, and how often."""

import pytest

from sync_pipeline.simulators.faults import Call, Fault, Faults

PAGE = Call(
    method="GET",
    url="/api/1.1/obj/invoice?cursor=200",
    route="/obj/invoice",
    type="invoice",
    listing=True,
)
READ = Call(method="GET", url="/api/1.1/obj/user/1x2", route="/obj/user/{id}", type="user")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="reset"),
        Fault(kind="reset", type="Invoice"),
        Fault(kind="reset", method="get"),
        Fault(kind="reset", path=r"cursor=2\d\d\b"),
        Fault(kind="shrink", type="invoice", method="GET", path="invoice"),
    ],
)
def test_a_fault_matches_what_it_names(fault: Fault):
    assert fault.matches(PAGE)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="reset", type="invoice"),
        Fault(kind="reset", method="POST"),
        Fault(kind="reset", path="cursor"),
        Fault(kind="reset", ids=("3x4",)),
        Fault(kind="reset", type="user", method="PATCH"),
        Fault(kind="empty_results"),
    ],
)
def test_a_fault_leaves_other_calls_alone(fault: Fault):
    assert not fault.matches(READ)


def test_a_fault_can_be_about_ids():
    assert Fault(kind="reset", ids=("9x9", "1x2")).matches(READ)


def test_a_fault_hits_so_many_calls_from_the_nth_on():
    faults = Faults()
    faults.add(Fault(kind="reset", type="invoice", nth=3, times=2))
    hits = [(faults.pick(READ), faults.pick(PAGE))[1] is not None for _ in range(6)]
    assert hits == [False, False, True, True, False, False]
    assert faults.fired == 2
    assert faults.listing()[0] | {"seen": 6, "fired": 2} == faults.listing()[0]


def test_a_fault_without_times_hits_for_ever():
    faults = Faults()
    faults.add(Fault(kind="reset"))
    assert all(faults.pick(PAGE) for _ in range(10))
    faults.clear()
    assert faults.pick(PAGE) is None


def test_the_first_fault_that_is_due_hits():
    faults = Faults()
    faults.replace([Fault(kind="reset", times=1), Fault(kind="cut", times=1)])
    kinds = [hit and hit.kind for hit in (faults.pick(PAGE) for _ in range(3))]
    assert kinds == ["reset", "cut", None]


@pytest.mark.parametrize(
    "given",
    [{"kind": "nope"}, {}, {"kind": "reset", "tpye": "x"}, {"kind": "status", "body": "xml"}],
)
def test_a_fault_that_cannot_be_read_is_refused(given: dict[str, object]):
    with pytest.raises(ValueError, match=r"kind must|has no|body must"):
        Fault.parse(given)
