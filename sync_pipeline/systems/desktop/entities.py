"""The fifteen tables of the desktop system, as data.

Columns are those of the mobile database, in its order; sources are the desktop's columns. Keys are the real
ones: desktop tables have no primary keys and repeat some keys. A required link is one that the mobile
database declares as a foreign key; where it declares none, up to two thirds of the values dangle, so the
row is loaded and the asset check of the links reports it.

Rows with `source` D or null belong to the desktop, those with M to the mobile users. The desktop's own
`source` column marks the copies of mobile rows that the reverse sync has inserted there.
"""

from typing import Any

from sync_pipeline.model.entity import Column, Entity, Field, Link, Local, Lookup, Owner, Serial
from sync_pipeline.model.system import System
from sync_pipeline.model.types import (
    bigint,
    char,
    date,
    integer,
    numeric,
    time,
    timestamp,
    timestamptz,
    varchar,
)
from sync_pipeline.systems.desktop.settings import SOURCE

OWNER = Owner("source", ours=("D",), mark="D", source="source")

# The last columns of every mobile table.
TAIL = (
    Local("source", char(1), default="'D'"),
    Local("created_at", timestamptz, default="now()"),
    Local("updated_at", timestamptz, default="now()"),
)

ORG = Field("org_id", numeric(3), "org_id", link=Link("orgmaster", required=True))
LOC = Field("loc_id", numeric(3), "loc_id", link=Link("locmaster", required=True))
CON = Field("con_id", integer, "con_id", link=Link("conmaster"))
CLIENT = Field("client_id", numeric(7), "client_id", link=Link("climaster"))
STAFF = Field("staff_id", numeric(8), "staff_id", link=Link("mbstaff"))
TASK = Field("task_id", numeric(7), "task_id", link=Link("taskmaster"))
JOB = Field("job_id", numeric(10), "job_id", link=Link("jobshead", match=("job_id",)))


def _shared(
    name: str,
    *,
    key: tuple[str, ...],
    description: str,
    columns: tuple[Column, ...],
    source: str = "",
    **options: Any,
) -> Entity:
    """A table that both sides have and edit, of the same name unless `source` is given."""
    return Entity(
        name=name,
        source=source or name,
        key=key,
        absent="cleared",
        description=description,
        owner=OWNER,
        columns=(*columns, *TAIL),
        **options,
    )


ORGMASTER = _shared(
    "orgmaster",
    key=("org_id",),
    description="Organisations of the practice.",
    columns=(
        Field("org_id", numeric(3), "org_id"),
        Field("orgname", varchar(100), "orgname"),
    ),
)

LOCMASTER = _shared(
    "locmaster",
    key=("loc_id",),
    description="Locations of an organisation.",
    columns=(
        ORG,
        Field("loc_id", numeric(3), "loc_id"),
        Field("locname", varchar(100), "locname"),
    ),
)

CONMASTER = _shared(
    "conmaster",
    key=("con_id",),
    description="Constitutions and contacts under which clients are grouped.",
    columns=(
        ORG,
        Field("con_id", integer, "con_id"),
        Field("conname", varchar(60), "conname"),
        Field("conmail", varchar(60), "conmail", personal=True),
        Field("conphone", varchar(25), "conphone", personal=True),
    ),
)

CLIMASTER = _shared(
    "climaster",
    key=("client_id",),
    description="Clients of the practice.",
    columns=(
        ORG,
        CON,
        LOC,
        Field("client_id", numeric(7), "client_id"),
        Field("clientname", varchar(80), "clientname", personal=True),
        Field("clientmail", varchar(60), "clientmail", personal=True),
        Field("clientphone", varchar(25), "clientphone", personal=True),
    ),
)

CLIUNIMASTER = _shared(
    "cliunimaster",
    key=("cliunit_id",),
    description="Units of clients, with their addresses.",
    columns=(
        ORG,
        CON,
        LOC,
        CLIENT,
        Field("cliunit_id", numeric(7), "cliunit_id"),
        Field("cliunitname", varchar(80), "cliunitname"),
        Field("cliunitadd1", varchar(50), "cliunitadd1", personal=True),
        Field("cliunitadd2", varchar(50), "cliunitadd2", personal=True),
        Field("cliunitcity", varchar(50), "cliunitcity"),
        Field("cliunitpin", varchar(8), "cliunitpin"),
        Field("cliunitstate", varchar(35), "cliunitstate"),
        Field("cliunitcountry", varchar(35), "cliunitcountry"),
        Field("clientgeolocation", varchar(100), "clientgeolocation", personal=True),
        Field("cliunitmail", varchar(40), "cliunitmail", personal=True),
        Field("cliunitphone", varchar(25), "cliunitphone", personal=True),
        Field("cliunitcontactname", varchar(60), "cliunitcontactname", personal=True),
    ),
)

TASKMASTER = _shared(
    "taskmaster",
    key=("task_id",),
    description="Kinds of tasks.",
    columns=(
        ORG,
        CON,
        LOC,
        Field("task_id", numeric(7), "task_id"),
        Field("task_desc", varchar(40), "task_desc"),
        Field("task_status", numeric(1), "task_status"),
    ),
)

JOBMASTER = _shared(
    "jobmaster",
    key=("job_id",),
    description="Kinds of jobs.",
    columns=(
        ORG,
        CON,
        LOC,
        Field("job_id", numeric(10), "job_id"),
        Field("jobdesc", varchar(100), "jobdesc"),
        Field("jobstatus", char(1), "jobstatus"),
    ),
)

MBSTAFF = _shared(
    "mbstaff",
    key=("staff_id",),
    description="Staff of the practice, with their accounts in the app.",
    columns=(
        ORG,
        CON,
        LOC,
        Field("staff_id", numeric(8), "staff_id"),
        Field("app_username", varchar(50), "app_username", personal=True),
        Field("app_pw", varchar(50), "app_pw", personal=True),
        Field("stafftype", numeric(1), "stafftype"),
        Field("name", varchar(50), "name", personal=True),
        Field("phonumber", varchar(30), "phonumber", personal=True),
        Field("dob", date, "dob", personal=True),
        Field("email", varchar(50), "email", personal=True),
        Field("whetherca", varchar(10), "whetherca"),
        Field("ca_mem_no", varchar(10), "ca_mem_no", personal=True),
        Field("desc_id", numeric(8), "desc_id"),
        Field("spdoj", date, "spdoj"),
        Field("createdby", varchar(15), "createdby"),
        Field("createddate", date, "createddate"),
        Field("suspendedby", varchar(15), "suspendedby"),
        Field("suspendeddate", date, "suspendeddate"),
        Field("revokedby", varchar(15), "revokedby"),
        Field("revokeddate", date, "revokeddate"),
        Field("terminatedby", varchar(15), "terminatedby"),
        Field("terminateddate", date, "terminateddate"),
        Field("active_status", numeric(1), "active_status"),
    ),
)

JOBSHEAD = _shared(
    "jobshead",
    key=("job_id", "sporg_id"),  # one job_id stands for up to 24 rows of the desktop
    description="Jobs for clients.",
    columns=(
        ORG,
        CON,
        LOC,
        Field("job_id", numeric(10), "job_id"),
        Field("job_uid", varchar(25), "job_uid"),
        Field("sporg_id", numeric(8), "sporg_id"),
        Field("year_id", numeric(8), "year_id"),
        CLIENT,
        Field("jobdate", date, "jobdate"),
        Field("targetdate", date, "targetdate"),
        Field("job_nature", char(1), "job_nature"),
        Field("work_desc", varchar(100), "work_desc"),
        Field("worklocation", varchar(15), "worklocation"),
        Field("act_man_min", numeric(10), "act_man_min"),
        Field("drivefolderpath", varchar(100), "drivefolderpath"),
        Field("drivefolderkey", varchar(100), "drivefolderkey"),
        Field("job_status", char(1), "job_status"),
    ),
)

JOBTASKS = _shared(
    "jobtasks",
    key=("job_id", "task_id"),
    description="Tasks of jobs.",
    columns=(
        Serial("jt_id", bigint),
        ORG,
        CON,
        LOC,
        JOB,
        Field("year_id", numeric(8), "year_id"),
        TASK,
        Field("taskorder", numeric(10), "taskorder"),
        Field("task_desc", varchar(40), "task_desc"),
        Field("jobdet_man_hrs", numeric(8, 2), "jobdet_man_hrs"),
        Field("actual_man_hrs", time, "actual_man_hrs"),
        Field("actual_man_min", numeric(10), "actual_man_min"),
        Field("checklistlinked", char(1), "checklistlinked"),
        Field(
            "client_id",
            numeric(7),
            "",
            link=Link("climaster"),
            lookup=Lookup("jobshead", by=(("job_id", "job_id"),), take="client_id"),
            note="the desktop has no such column; it is the client of the task's job",
        ),
        Local("createdby", varchar(15)),
        Local("createddate", date),
        Local("task_status", numeric(1)),
    ),
)

TASKCHECKLIST = _shared(
    "taskchecklist",
    key=("task_id", "checklistdesc"),
    description="What is to be ticked off for a task.",
    columns=(
        Serial("tc_id", bigint),
        ORG,
        LOC,
        Local("job_id", numeric(10)),
        Field("task_id", numeric(7), "task_id", link=Link("taskmaster"), nulls_not_distinct=True),
        Field("checklistdesc", varchar(100), "checklistdesc"),
        Field("applicable", varchar(15), "applicable"),
        Field("formatdoc", varchar(15), "formatdoc"),
        Field("completedby", varchar(15), "completedby"),
        Field("completeddate", date, "completeddate"),
        Field("comments", varchar(100), "comments"),
        Field("checkliststatus", numeric(1), "checkliststatus"),
    ),
)

WORKDIARY = _shared(
    "workdiary",
    key=("wd_id",),
    description="Time that staff spent on tasks; entered on mobile.",
    columns=(
        Field("wd_id", numeric(8), "wd_id"),
        ORG,
        Field("con_id", integer, "con_id", link=Link("conmaster", required=True)),
        LOC,
        Field("staff_id", numeric(8), "staff_id", link=Link("mbstaff", required=True)),
        JOB,
        Field("task_id", numeric(7), "task_id", link=Link("taskmaster", required=True)),
        Local("client_id", numeric(7)),
        Local("cma_id", numeric(5)),
        Field("date", date, "date"),
        Field("timefrom", timestamp, "timefrom"),
        Field("timeto", timestamp, "timeto"),
        Field("minutes", numeric(4), "minutes"),
        Field("tasknotes", varchar(50), "tasknotes"),
        Field("attachment", char(1), "attachment"),
        Field("doc_ref", varchar(15), "doc_ref"),
    ),
)

REMINDER = _shared(
    "reminder",
    source="mbreminder",
    key=("rem_id",),
    description="Reminders of staff about clients.",
    columns=(
        Field("rem_id", numeric(8), "rem_id"),
        ORG,
        LOC,
        Field("year_id", numeric(9), "year_id"),
        STAFF,
        Field("remdate", date, "remdate"),
        CLIENT,
        Field("client_name", varchar(80), "client_name", personal=True),
        Field("remtype", varchar(30), "remtype"),
        Field("remnotes", varchar(100), "remnotes"),
        Field("remduedate", date, "remduedate"),
        Field("user_create", varchar(15), "user_create"),
        Field("user_modify", varchar(15), "user_modify"),
        Field("user_create_dt", date, "user_create_dt"),
        Field("user_modify_dt", date, "user_modify_dt"),
        Field("remtotype", char(1), "remtotype"),
        Field("remstatus", numeric(1), "remstatus"),
        Field("remtime", time, "remtime"),
        Field("remtitle", varchar(100), "remtitle"),
        Field("color", integer, "color"),
    ),
)

REMDETAIL = _shared(
    "remdetail",
    source="mbremdetail",
    key=("remdetid",),
    description="Who has to answer a reminder, and what they answered.",
    columns=(
        Field("remdetid", numeric(8), "remdetid"),
        Field("rem_id", numeric(8), "rem_id", link=Link("reminder", required=True)),
        STAFF,
        Field("remresponse", varchar(150), "remresponse"),
        Field("remresstatus", char(1), "remresstatus"),
    ),
)

LEAREQUEST = _shared(
    "learequest",
    key=("learequest_id",),
    description="Requests for leave; entered on mobile.",
    columns=(
        ORG,
        CON,
        LOC,
        Local("staff_id", numeric(8)),
        Field("learequest_id", numeric(5), "learequest_id"),
        Field("requestdate", date, "requestdate"),
        Field("fromdate", date, "fromdate"),
        Field("todate", date, "todate"),
        Field("fhvalue", char(2), "fhvalue"),
        Field("shvalue", char(2), "shvalue"),
        Field("leavetype", char(2), "leavetype"),
        Field("leaveremarks", varchar(50), "leaveremarks"),
        Field("createdby", varchar(15), "createdby"),
        Field("createddate", date, "createddate"),
        Field("approval_status", char(1), "approval_status"),
        Field("approvedby", varchar(30), "approvedby"),
        Field("approveddate", date, "approveddate"),
    ),
)

DESKTOP = System(
    name="desktop",
    source=SOURCE,
    entities=(
        ORGMASTER,
        LOCMASTER,
        CONMASTER,
        CLIMASTER,
        CLIUNIMASTER,
        TASKMASTER,
        JOBMASTER,
        MBSTAFF,
        JOBSHEAD,
        JOBTASKS,
        TASKCHECKLIST,
        WORKDIARY,
        REMINDER,
        REMDETAIL,
        LEAREQUEST,
    ),
)
