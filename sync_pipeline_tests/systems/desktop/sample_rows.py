"""Rows that the tests enter on either side; columns that they do not care about have a value that fits."""

from typing import Any

Row = dict[str, Any]

_OFFICE: Row = {"org_id": 1, "loc_id": 1}


def client(client_id: int = 10001, **values: Any) -> Row:
    return _OFFICE | {"con_id": 1, "client_id": client_id, "clientname": "Mehta Traders"} | values


def job(job_id: int = 24000, sporg_id: int = 1001, **values: Any) -> Row:
    ids = {"con_id": 1, "job_id": job_id, "sporg_id": sporg_id, "client_id": 10001}
    return _OFFICE | ids | {"work_desc": "Tax audit", "job_status": "P"} | values


def task(job_id: int = 24000, task_id: int = 101, **values: Any) -> Row:
    ids = {"con_id": 1, "job_id": job_id, "task_id": task_id}
    return _OFFICE | ids | {"task_desc": "Vouch purchase bills"} | values


def check(task_id: int | None = 101, checklistdesc: str = "bills obtained", **values: Any) -> Row:
    return _OFFICE | {"task_id": task_id, "checklistdesc": checklistdesc} | values


def diary(wd_id: int = 1, **values: Any) -> Row:
    return _OFFICE | {"wd_id": wd_id, "minutes": 30} | values


def reminder(rem_id: int = 5001, **values: Any) -> Row:
    ids = {"rem_id": rem_id, "year_id": 2025, "staff_id": 1001}
    return _OFFICE | ids | {"remtitle": "Advance tax"} | values


def answer(remdetid: int = 7001, rem_id: int = 5001, **values: Any) -> Row:
    return {
        "remdetid": remdetid,
        "rem_id": rem_id,
        "staff_id": 1001,
        "remresponse": "Paid",
    } | values


def staff(staff_id: int = 1001, **values: Any) -> Row:
    return _OFFICE | {"con_id": 1, "staff_id": staff_id, "name": "Asha"} | values
