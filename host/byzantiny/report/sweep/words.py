"""What a sweep's page says in sentences: its result, what it rests on, what it has not, and what it does not show."""

from __future__ import annotations

from byzantiny.report.sweep.load import SweepRun, place, setting_in, surpassed
from byzantiny.report.targets import percent
from byzantiny.report.text import plural
from byzantiny.scores.tables import CLEAN, CONTROL, setting_of

FEW_SEEDS = 10


def headline(run: SweepRun) -> str:
    """The best and the least worst case where it is hardest: the real wire's lowest mean of worst cases."""
    real = {row["wire"] for row in run.scores["attacks"] if not row["bypass"]}
    rows = [row for row in run.scores["defences"] if row["worst"] is not None]
    rows = [row for row in rows if row["wire"] in real] or rows
    if not rows:
        return "Nothing under attack is finished yet."
    places: dict[str, list[dict[str, object]]] = {}
    axes = run.varying
    for row in rows:
        places.setdefault(place(row, axes), []).append(row)

    def kept(row: dict[str, object]) -> float:
        return float(row["worst"]["value"])  # type: ignore[index]

    # The place where most defences stand, and of those the hardest.
    where, hardest = min(places.items(), key=lambda item: (-len(item[1]), sum(map(kept, item[1])) / len(item[1])))
    hardest = sorted(hardest, key=kept)
    best, least = hardest[-1], hardest[0]
    said = f"{best['defence']} keeps {percent(kept(best))} under its worst attack, {best['worst_attack']}"
    if least is not best:
        said += f"; {least['defence']} keeps {percent(kept(least))} under {least['worst_attack']}"
    return (f"At {where}: " if where else "") + said + "."


def basis(run: SweepRun) -> str:
    """How many cells, seeds, and how the worst attack was chosen."""
    scored = sorted({cell.seed for cell in run.cells if not cell.tuning})
    tuning = sorted({cell.seed for cell in run.cells if cell.tuning})
    chosen = (
        f"the worst attack is chosen on {plural(len(tuning), 'other seed')} and scored on these"
        if tuning
        else "the worst attack is chosen on the seeds that are scored, which flatters the attacker"
    )
    return (
        f"{plural(len(run.cells), 'cell')}, {plural(len(scored), 'scored seed')}; {chosen}. Accuracy: mean over the last tenth "
        "of a run's rounds; interquartile mean over seeds, with a 95 % bootstrap interval from three seeds on."
    )


def problems(run: SweepRun) -> list[str]:
    """What a reader must know before the numbers."""
    found = []
    failed = len(run.scores["failed"])
    if run.missing:
        found.append(
            f"{plural(run.missing, 'cell')} of {len(run.cells)} not run yet; the same sweep command goes on with them"
        )
    if failed:
        found.append(f"{plural(failed, 'cell')} failed; their errors are below, and no score has them")
    unchosen = unchosen_attacks(run)
    if unchosen:
        more = f", and {len(unchosen) - 3} more" if len(unchosen) > 3 else ""
        found.append(
            f"worst attacks were chosen without {'; '.join(unchosen[:3])}{more}: the runs that would choose them are not there, "
            "so these worst cases may flatter the defence"
        )
    return found


def misjudged(run: SweepRun) -> str:
    """Where an attack that was not chosen turned out clearly worse on the scored seeds; empty where nowhere."""
    found = surpassed(run)
    if not found:
        return ""
    # The furthest from what was chosen first.
    found.sort(key=lambda pair: pair[1]["accuracy"]["value"] - pair[0]["worst"]["value"])
    said = []
    for row, lowest in found[:3]:
        where = place(row, run.varying)
        said.append(
            f"{row['defence']}{f' ({where})' if where else ''} keeps {percent(row['worst']['value'])} under "
            f"{row['worst_attack']}, which was chosen, but {percent(lowest['accuracy']['value'])} under {lowest['attack']}"
        )
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    count = plural(len(found), "worst case")
    return f"The seeds that choose misjudged {count}: {'; '.join(said)}{more}. More tuning seeds choose better."


def unchosen_attacks(run: SweepRun) -> list[str]:
    """Attack and setting in words, of attacks in the grid that could not be chosen as the worst for want of finished runs."""
    tuned = {setting_of(cell) for cell in run.cells if cell.tuning}
    ranked = {row["attack"] for row in run.scores["attacks"]} | {
        cell.attack for cell in run.cells if cell.run not in run.results
    }
    wanted = {
        (setting_of(cell), cell.attack)
        for cell in run.cells
        if cell.attack != CLEAN and cell.attack in ranked and cell.tuning == (setting_of(cell) in tuned)
    }
    there = {key for key in wanted for cell in run.groups.get(key, ()) if cell.tuning == (key[0] in tuned)}
    rows = {setting_in(row): row for row in run.scores["defences"]}
    return sorted(
        f"{attack} against {setting[3]} ({place(rows[setting], run.varying)})"
        if run.varying
        else f"{attack} against {setting[3]}"
        for setting, attack in wanted - there
        if setting in rows
    )


def omissions(has: set[str]) -> dict[str, str]:
    """Section -> why this sweep does not have it."""
    every = {
        "asr": "No attack of this grid has probes (a trigger, or chosen inputs), so there is no attack success rate.",
        "heatmaps": "No cell has Byzantine clients (f = 0 everywhere), so there is no matrix of attacks and defences.",
        "curves": "No attacked cell is finished, so there is nothing to draw round by round.",
        "grid": "f by alpha needs two values of f and of alpha for one defence and wire; this grid has not.",
        "factors": "The wire is not taken apart: no two wires of this grid differ in one factor.",
        "slope": f"Rankings are compared with those on the wire {CONTROL}; this grid has no second wire with it, or fewer than two "
        "defences on both.",
        "stealth": "Stealth (how well the best simple detector tells liars from honest clients) is computed from single updates, "
        "which a sweep does not keep; detection precision and recall of the defence itself are in the table.",
    }  # fmt: skip
    return {name: sentence for name, sentence in every.items() if name not in has}


def caveats(run: SweepRun) -> list[tuple[str, str]]:
    """What these numbers do not show."""
    seeds = len({cell.seed for cell in run.cells if not cell.tuning})
    found = [
        (
            "Other attacks",
            "A worst case is that of the attacks in this grid; a stronger one would lower it.",
        ),
        (
            "Devices",
            "Cells run in process: the codes are those of the devices, but no frame was sent and nothing was timed.",
        )
        if run.sweep.engine != "frames"
        else ("Devices", "Cells went over frames in memory, in virtual time; nothing was measured on a board."),
    ]
    if seeds < FEW_SEEDS:
        found.insert(
            0, ("Certainty", f"{plural(seeds, 'seed')} a cell: a hint. Tables need {FEW_SEEDS}, headline claims 30.")
        )
    if any(cell.bypass for cell in run.cells):
        found.append(
            ("Past the wire", "Places marked “past the wire” are controls that no device and no frame can do.")
        )
    return found
