"""KQL is really executed, and what the engine lacks is put right without changing what the query means."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import duckdb_kql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvadmin.emulator import kql

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
SCHEMA = {"AZKVAuditLogs": kql.Shape(("TimeGenerated", "OperationName", "CallerIpAddress", "Extra"))}


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb_kql.connect() as connection:
        connection.execute(
            "CREATE TABLE AZKVAuditLogs"
            " (TimeGenerated TIMESTAMP, OperationName VARCHAR, CallerIpAddress VARCHAR, Extra VARCHAR)"
        )
        connection.execute("INSERT INTO AZKVAuditLogs VALUES ('2026-12-01 11:00', 'SecretGet', '203.0.113.7', NULL)")
        yield connection


def answer(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return kql.run(connection, query, SCHEMA, NOW).fetchall()


def refusal(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[str, str]:
    with pytest.raises(kql.QueryError) as caught:
        kql.run(connection, query, SCHEMA, NOW)
    return caught.value.code, caught.value.message


def test_a_column_that_exists_is_read_by_column_ifexists(connection: duckdb.DuckDBPyConnection) -> None:
    query = 'AZKVAuditLogs | project x = column_ifexists("OperationName", "none")'

    assert answer(connection, query) == [("SecretGet",)]


def test_a_column_that_does_not_exist_gives_the_default(connection: duckdb.DuckDBPyConnection) -> None:
    query = 'AZKVAuditLogs | project x = tostring(column_ifexists("upn_s", column_ifexists("name_s", "none")))'

    assert answer(connection, query) == [("none",)]


def test_a_name_being_made_is_no_column_of_its_own_expression(connection: duckdb.DuckDBPyConnection) -> None:
    query = (
        'AZKVAuditLogs | project upn_s = column_ifexists("upn_s", "none") | project y = column_ifexists("upn_s", "")'
    )

    assert answer(connection, query) == [("none",)]


def test_an_obfuscated_literal_means_its_text(connection: duckdb.DuckDBPyConnection) -> None:
    found = answer(connection, 'AZKVAuditLogs | where OperationName == h"SecretGet" | project OperationName')
    missed = answer(connection, "AZKVAuditLogs | where OperationName == h'SecretSet'")

    assert (found, missed) == ([("SecretGet",)], [])


def test_pack_all_true_leaves_out_what_is_empty(connection: duckdb.DuckDBPyConnection) -> None:
    ((packed,),) = answer(connection, "AZKVAuditLogs | project packed = pack_all(true)")

    assert kql.without_empties(packed) == (
        '{"TimeGenerated": "2026-12-01T11:00:00.0000000Z", "OperationName": "SecretGet",'
        ' "CallerIpAddress": "203.0.113.7"}'
    )


def test_pack_all_true_does_not_even_look_at_columns_that_nobody_uses() -> None:
    schema = {"AZKVAuditLogs": kql.Shape(("OperationName", "Extra"), frozenset({"Extra"}))}

    ready = [kql.prepare(f"AZKVAuditLogs | extend x = {packed}", schema) for packed in ("pack_all(true)", "pack_all()")]

    assert ready == [
        'AZKVAuditLogs | extend x = bag_pack("ignore null empty", true, "OperationName", OperationName)',
        'AZKVAuditLogs | extend x = bag_pack("OperationName", OperationName, "Extra", Extra)',
    ]


def test_pack_all_after_a_projection_is_refused_and_not_guessed(connection: duckdb.DuckDBPyConnection) -> None:
    code, message = refusal(connection, "AZKVAuditLogs | project OperationName | extend x = pack_all()")

    assert (code, message) == ("SEM0000", "This emulator cannot run pack_all() after project")


def test_make_datetime_reads_a_text(connection: duckdb.DuckDBPyConnection) -> None:
    assert answer(connection, 'print make_datetime("2000-01-02 03:04:05Z")') == [(datetime(2000, 1, 2, 3, 4, 5),)]


def test_now_is_the_cloud_s_clock(connection: duckdb.DuckDBPyConnection) -> None:
    assert answer(connection, "print now()") == [(NOW.replace(tzinfo=None),)]


def test_ago_counts_from_the_cloud_s_clock_however_often_it_is_asked(connection: duckdb.DuckDBPyConnection) -> None:
    query = "AZKVAuditLogs | where TimeGenerated > ago(2h) | count"
    later = NOW.replace(hour=23)

    counts = [kql.run(connection, query, SCHEMA, moment).fetchall() for moment in (NOW, later)]

    assert counts == [[(1,)], [(0,)]]


def test_a_leg_whose_table_is_absent_is_dropped_when_fuzzy(connection: duckdb.DuckDBPyConnection) -> None:
    query = (
        "union isfuzzy=true (AZKVAuditLogs | project ip = CallerIpAddress),"
        " (AzureDiagnostics | project ip = CallerIPAddress)"
    )

    assert answer(connection, query) == [("203.0.113.7",)]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("AppInsights |\n  where TimeGenerated > ago(12h)", "'where' operator: {table} named 'AppInsights'"),
        ("AzureDiagnostics", "{table} named 'AzureDiagnostics'"),
        ("AZKVAuditLogs | where upn_s == 'x'", "'where' operator: {column} named 'upn_s'"),
        ("AZKVAuditLogs | project upn_s", "'project' operator: {column} named 'upn_s'"),
        ("AZKVAuditLogs | project-away upn_s", "'project-away' operator: {column} named 'upn_s'"),
        ("AZKVAuditLogs | order by upn_s", "'order' operator: {column} named 'upn_s'"),
        ("AZKVAuditLogs | summarize count() by upn_s", "'summarize' operator: {column} named 'upn_s'"),
        ("AZKVAuditLogs | extend upn_s = strcat(upn_s, 'x')", "'extend' operator: {column} named 'upn_s'"),
        ("AZKVAuditLogs | project CallerIPAddress", "{column} named 'CallerIPAddress'"),
    ],
)
def test_what_does_not_exist_is_refused_as_azure_does(
    connection: duckdb.DuckDBPyConnection, query: str, message: str
) -> None:
    words = {
        "table": "Failed to resolve table or column expression",
        "column": "Failed to resolve column or scalar expression",
    }

    assert refusal(connection, query) == ("SEM0100", message.format(**words))


def test_no_leg_at_all_is_refused_even_when_fuzzy(connection: duckdb.DuckDBPyConnection) -> None:
    code, _ = refusal(connection, "union isfuzzy=true (Nothing | take 1), (AzureDiagnostics | take 1)")

    assert code == "SEM0100"


def test_a_syntax_error_is_told_from_a_semantic_one(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(kql.QueryError) as caught:
        kql.run(connection, "AZKVAuditLogs | wherex", SCHEMA, NOW)

    assert (caught.value.kind, caught.value.code) == ("SyntaxError", "SYN0002")


def test_a_gap_of_the_emulator_says_so(connection: duckdb.DuckDBPyConnection) -> None:
    code, message = refusal(connection, 'search "x"')

    assert (code, message.split(":")[0]) == ("SEM0000", "This emulator cannot run the query")


def test_a_control_command_is_refused(connection: duckdb.DuckDBPyConnection) -> None:
    code, _ = refusal(connection, ".drop table AZKVAuditLogs")

    assert code == "SEM0000"
    assert answer(connection, "AZKVAuditLogs | count") == [(1,)]


def test_comments_and_texts_are_not_read_as_query(connection: duckdb.DuckDBPyConnection) -> None:
    query = '// column_ifexists(\nprint a = "column_ifexists(\\"h\\")", b = @"h\\"'

    assert answer(connection, query) == [('column_ifexists("h")', "h\\")]


@given(st.text(alphabet="ab |()\"'\\@h/=,\n"))
def test_a_query_in_pieces_is_still_the_query(query: str) -> None:
    assert "".join(token.text for token in kql.tokens(query)) == query
