"""The tables of the two databases, as the desktop program and the mobile app have them.

The desktop's are bare: no keys, no constraints, no timestamps. The mobile app's have keys and the
foreign keys that survived its migrations. Rows do not belong here.
"""

from typing import Final, LiteralString

import psycopg
from psycopg import sql

DESKTOP_TABLES: Final[dict[str, LiteralString]] = {
    "orgmaster": "org_id numeric(3), orgname varchar(100)",
    "locmaster": "org_id numeric(3), loc_id numeric(3), locname varchar(100)",
    "conmaster": """
        org_id numeric(3), con_id integer, conname varchar(60), conmail varchar(60),
        conphone varchar(25)""",
    "climaster": """
        org_id numeric(3), con_id integer, loc_id numeric(3), client_id numeric(7),
        clientname varchar(80), clientmail varchar(60), clientphone varchar(25)""",
    "cliunimaster": """
        org_id numeric(3), con_id integer, loc_id numeric(3), client_id numeric(7),
        cliunit_id numeric(7), cliunitname varchar(80), cliunitadd1 varchar(50),
        cliunitadd2 varchar(50), cliunitcity varchar(50), cliunitpin varchar(8),
        cliunitstate varchar(35), cliunitcountry varchar(35), clientgeolocation varchar(100),
        cliunitmail varchar(40), cliunitphone varchar(25), cliunitcontactname varchar(60)""",
    "taskmaster": """
        org_id numeric(3), con_id integer, loc_id numeric(3), task_id numeric(7),
        task_desc varchar(40), task_status numeric(1)""",
    "jobmaster": """
        org_id numeric(3), con_id integer, loc_id numeric(3), job_id numeric(10),
        jobdesc varchar(100), jobstatus char(1)""",
    "mbstaff": """
        org_id numeric(3), con_id integer, loc_id numeric(3), staff_id numeric(8),
        app_username varchar(50), app_pw varchar(50), stafftype numeric(1), name varchar(50),
        phonumber varchar(30), dob date, email varchar(50), whetherca varchar(10),
        ca_mem_no varchar(10), desc_id numeric(5), spdoj date, createdby varchar(15),
        createddate date, suspendedby varchar(15), suspendeddate date, revokedby varchar(15),
        revokeddate date, terminatedby varchar(15), terminateddate date, active_status numeric(1)""",
    "jobshead": """
        org_id numeric(3), con_id integer, loc_id numeric(3), job_id numeric(10),
        job_uid varchar(25), sporg_id numeric(8), jctincharge char(1), year_id numeric(8),
        client_id numeric(7), jobdate date, targetdate date, job_nature char(1),
        work_desc varchar(100), worklocation varchar(15), act_man_min numeric(10),
        drivefolderpath varchar(100), drivefolderkey varchar(100), job_status char(1)""",
    # The program's own DDL file lists jt_id here and tc_id in taskchecklist; live databases have neither.
    "jobtasks": """
        org_id numeric(3), con_id integer, loc_id numeric(3), job_id numeric(10),
        year_id numeric(8), task_id numeric(7), taskorder numeric(10), task_desc varchar(40),
        jobdet_man_hrs numeric(8,2), actual_man_hrs time, actual_man_min numeric(10),
        checklistlinked char(1)""",
    "taskchecklist": """
        org_id numeric(3), loc_id numeric(3), task_id numeric(7), checklistdesc varchar(100),
        applicable varchar(15), formatdoc varchar(15), completedby varchar(15), completeddate date,
        comments varchar(100), checkliststatus numeric(1)""",
    "workdiary": """
        wd_id numeric(10), org_id numeric(3), con_id integer, loc_id numeric(3), staff_id numeric(8),
        job_id numeric(10), task_id numeric(7), date date, timefrom timestamp, timeto timestamp,
        minutes numeric(4), tasknotes varchar(50), attachment char(1), doc_ref varchar(15)""",
    "mbreminder": """
        rem_id numeric(8), org_id numeric(3), loc_id numeric(3), year_id numeric(9),
        staff_id numeric(8), remdate date, client_id numeric(7), client_name varchar(80),
        remtype varchar(30), remnotes varchar(100), remduedate date, user_create varchar(15),
        user_modify varchar(15), user_create_dt date, user_modify_dt date, remtotype char(1),
        remstatus numeric(1), remtime time, remtitle varchar(100), color integer""",
    "mbremdetail": """
        remdetid numeric(8), rem_id numeric(8), staff_id numeric(8), remresponse varchar(150),
        remresstatus char(1)""",
    "learequest": """
        org_id numeric(3), con_id integer, loc_id numeric(3), learequest_id numeric(5),
        requestdate date, fromdate date, todate date, fhvalue char(2), shvalue char(2),
        leavetype char(2), leaveremarks varchar(50), createdby varchar(15), createddate date,
        approval_status char(1), approvedby varchar(30), approveddate date""",
}

_ORG: Final = "org_id numeric(3) not null references orgmaster"
_LOC: Final = "loc_id numeric(3) not null references locmaster"
_ORG_CON_LOC: Final = f"{_ORG}, con_id integer not null, {_LOC}"

MOBILE_TABLES: Final[dict[str, LiteralString]] = {
    "orgmaster": "org_id numeric(3) primary key, orgname varchar(100)",
    "locmaster": f"{_ORG}, loc_id numeric(3) primary key, locname varchar(100)",
    "conmaster": f"""
        {_ORG}, con_id integer primary key, conname varchar(60), conmail varchar(60),
        conphone varchar(25)""",
    "climaster": f"""
        {_ORG}, con_id integer, {_LOC}, client_id numeric(7) primary key,
        clientname varchar(80), clientmail varchar(60), clientphone varchar(25)""",
    "cliunimaster": f"""
        {_ORG_CON_LOC}, client_id numeric(7) not null,
        cliunit_id numeric(7) primary key, cliunitname varchar(80), cliunitadd1 varchar(50),
        cliunitadd2 varchar(50), cliunitcity varchar(50), cliunitpin varchar(8),
        cliunitstate varchar(35), cliunitcountry varchar(35), clientgeolocation varchar(100),
        cliunitmail varchar(40), cliunitphone varchar(25), cliunitcontactname varchar(60)""",
    "taskmaster": f"""
        {_ORG_CON_LOC}, task_id numeric(7) primary key,
        task_desc varchar(40), task_status numeric(1)""",
    "jobmaster": f"""
        {_ORG_CON_LOC}, job_id numeric(10) primary key,
        jobdesc varchar(100), jobstatus char(1)""",
    # Wider than the desktop's desc_id: the app's migration that renamed des_id chose numeric(8).
    "mbstaff": f"""
        {_ORG_CON_LOC}, staff_id numeric(8) primary key,
        app_username varchar(50), app_pw varchar(50), stafftype numeric(1), name varchar(50),
        phonumber varchar(30), dob date, email varchar(50), whetherca varchar(10),
        ca_mem_no varchar(10), desc_id numeric(8), spdoj date, createdby varchar(15),
        createddate date, suspendedby varchar(15), suspendeddate date, revokedby varchar(15),
        revokeddate date, terminatedby varchar(15), terminateddate date, active_status numeric(1)""",
    "jobshead": f"""
        {_ORG_CON_LOC}, job_id numeric(10) not null,
        job_uid varchar(25), sporg_id numeric(8) not null, year_id numeric(8),
        client_id numeric(7) not null, jobdate date, targetdate date, job_nature char(1),
        work_desc varchar(100), worklocation varchar(15), act_man_min numeric(10),
        drivefolderpath varchar(100), drivefolderkey varchar(100), job_status char(1),
        primary key (job_id, sporg_id)""",
    "jobtasks": f"""
        jt_id bigserial primary key, {_ORG_CON_LOC}, job_id numeric(10) not null,
        year_id numeric(8), task_id numeric(7) not null, taskorder numeric(10),
        task_desc varchar(40), jobdet_man_hrs numeric(8,2), actual_man_hrs time,
        actual_man_min numeric(10), checklistlinked char(1), client_id numeric(7),
        createdby varchar(15), createddate date, task_status numeric(1), unique (job_id, task_id)""",
    "taskchecklist": f"""
        tc_id bigserial primary key, {_ORG}, {_LOC}, task_id numeric(7),
        checklistdesc varchar(100), applicable varchar(15), formatdoc varchar(15),
        completedby varchar(15), completeddate date, comments varchar(100),
        checkliststatus numeric(1), job_id numeric(10)""",
    "workdiary": """
        wd_id numeric(8) primary key default nextval('workdiary_wd_id_seq'),
        org_id numeric(3) references orgmaster, con_id integer references conmaster,
        loc_id numeric(3) references locmaster, staff_id numeric(8) references mbstaff,
        job_id numeric(10), task_id numeric(7) references taskmaster, date date,
        timefrom timestamp, timeto timestamp, minutes numeric(4), tasknotes varchar(50),
        attachment char(1), doc_ref varchar(15), client_id numeric(7) references climaster,
        cma_id numeric(5)""",
    "reminder": f"""
        rem_id numeric(8) primary key, {_ORG}, {_LOC}, year_id numeric(9) not null,
        staff_id numeric(8) not null, remdate date, client_id numeric(7), client_name varchar(80),
        remtype varchar(30), remnotes varchar(100), remduedate date, user_create varchar(15),
        user_modify varchar(15), user_create_dt date, user_modify_dt date, remtotype char(1),
        remstatus numeric(1), remtime time, remtitle varchar(100), color integer""",
    "remdetail": """
        remdetid numeric(8) primary key, rem_id numeric(8) not null references reminder,
        staff_id numeric(8) not null, remresponse varchar(150), remresstatus char(1)""",
    "learequest": f"""
        {_ORG_CON_LOC}, learequest_id numeric(5) primary key,
        requestdate date, fromdate date, todate date, fhvalue char(2), shvalue char(2),
        leavetype char(2), leaveremarks varchar(50), createdby varchar(15), createddate date,
        approval_status char(1), approvedby varchar(30), approveddate date,
        staff_id numeric(8) not null""",
}

_DESKTOP_TABLE: Final = "create table if not exists {} ({}, source char(1))"
_MOBILE_TABLE: Final = """
    create table {} (
        {},
        source char(1) default 'D',
        created_at timestamptz default now(),
        updated_at timestamptz default now()
    )
"""
_TOUCH: Final = """
    create or replace function touch_updated_at() returns trigger language plpgsql as $$
    begin
        new.updated_at = now();
        return new;
    end $$
"""
_TRIGGER: Final = """
    create trigger touch_updated_at before update on {}
    for each row execute function touch_updated_at()
"""


def create_desktop(connection: psycopg.Connection) -> None:
    """Create the desktop program's tables where they are missing."""
    for table, columns in DESKTOP_TABLES.items():
        statement = sql.SQL(_DESKTOP_TABLE).format(sql.Identifier(table), sql.SQL(columns))
        connection.execute(statement)


def create_mobile(connection: psycopg.Connection) -> None:
    """Create the mobile app's tables where they are missing, with their keys and triggers.

    A table that is there already stays as it is, whoever made it: a migration's tables get no
    further constraint or trigger.
    """
    with connection.transaction():
        missing = _missing(connection)
        if missing:
            connection.execute(_TOUCH)
        for table in missing:  # parents first, as listed
            _create_mobile_table(connection, table)


def _missing(connection: psycopg.Connection) -> list[str]:
    absent = (
        "select name from unnest(%s::text[]) with ordinality as listed (name, place)"
        " where to_regclass(name) is null order by place"
    )
    return [name for (name,) in connection.execute(absent, [list(MOBILE_TABLES)])]


def _create_mobile_table(connection: psycopg.Connection, table: str) -> None:
    name = sql.Identifier(table)
    if table == "workdiary":
        connection.execute("create sequence if not exists workdiary_wd_id_seq")
    connection.execute(sql.SQL(_MOBILE_TABLE).format(name, sql.SQL(MOBILE_TABLES[table])))
    connection.execute(sql.SQL(_TRIGGER).format(name))
    if table == "workdiary":
        connection.execute("alter sequence workdiary_wd_id_seq owned by workdiary.wd_id")
