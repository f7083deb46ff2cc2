"""Results as text, as Markdown, as JSON, and the history of them."""

import json
import os
import time

HEADS = ("step", "program", "wall s", "CPU s", "MiB", "stored MB", "restored")


def best_peer(rows, case, step):
    done = [r for r in rows if r["case"] == case and r["step"] == step and
            r["peer"] and r["ok"]]
    return min(done, key=lambda r: r["wall_seconds"]) if done else None


def add_ratios(rows):
    """Beside each of our own rows: the best peer's, and the factors."""
    for r in rows:
        peer = None if r["peer"] else best_peer(rows, r["case"], r["step"])
        if peer is None or not r["ok"]:
            continue
        r["best_peer"] = peer["program"]
        r["speed_ratio"] = round(peer["wall_seconds"] / r["wall_seconds"], 2)
        least = min(x["rss_mib"] for x in rows if x["peer"] and x["ok"] and
                    (x["case"], x["step"]) == (r["case"], r["step"]))
        r["memory_ratio"] = round(r["rss_mib"] / least, 2)
        kept = [x["stored_bytes"] for x in rows if x["peer"] and x["ok"] and
                (x["case"], x["step"]) == (r["case"], r["step"]) and
                x["stored_bytes"] is not None]
        if kept and min(kept) > 0 and r["stored_bytes"] is not None:
            r["stored_ratio"] = round(r["stored_bytes"] / min(kept), 3)


def number(x, digits=1):
    return "-" if x is None else "%.*f" % (digits, x)


def cells(r):
    if not r["ok"]:
        return (r["step"], r["program"], r["why"], "", "", "", "")
    stored = r["stored_bytes"]
    return (r["step"], r["program"],
            number(r["wall_seconds"], 2 if r["wall_seconds"] < 10 else 1),
            number(r["cpu_seconds"], 2 if r["cpu_seconds"] < 10 else 1),
            number(r["rss_mib"], 0),
            "-" if stored is None else number(
                stored / 1e6, 2 if stored < 1e7 else 0),
            r.get("restored") or "")


def verdict(r):
    """One of our rows in words."""
    words = []
    if "speed_ratio" in r:
        words.append("%.2f x the speed of %s" % (r["speed_ratio"],
                                                 r["best_peer"]))
    if "stored_ratio" in r:
        words.append("stored %.3f x the least" % r["stored_ratio"])
    if r.get("bound"):
        words.append("%.0f %% of what this machine allows (%.2f s by %s)" % (
            100 * r["bound"]["seconds"] / r["wall_seconds"],
            r["bound"]["seconds"], r["bound"]["by"]))
    if r.get("note"):
        words.append(r["note"])
    if r.get("throughput"):
        words.append("%.2f GB/s" % (r["throughput"] / 1e9))
    return "; ".join(words)


def print_case(rows, case, about):
    mine = [r for r in rows if r["case"] == case]
    steps = list(dict.fromkeys(r["step"] for r in mine))
    mine.sort(key=lambda r: steps.index(r["step"]))
    print("\n== %s: %s" % (case, about))
    table = [HEADS] + [cells(r) for r in mine]
    # What failed says so in place of numbers, and sets no width.
    widths = [max(len(str(t[i])) for t, r in zip(table, [None] + mine)
                  if r is None or r["ok"] or i < 2)
              for i in range(len(HEADS))]
    for t in table:
        line = "  ".join(
            str(c).ljust(w) if i < 2 or i == 6 else str(c).rjust(w)
            for i, (c, w) in enumerate(zip(t, widths)))
        print("  " + line.rstrip())
    for r in mine:
        if not r["peer"] and r["ok"] and verdict(r):
            print("  %s: %s" % (r["step"], verdict(r)))


def print_limits(result):
    s = result["limits_bytes_per_second"]
    m = result["machine"]
    names = (("copy", "memcpy"), ("id", "ids (HMAC-SHA256)"),
             ("seal", "ChaCha20-Poly1305"), ("cut_stream", "cutting files"),
             ("cut_block", "cutting blocks"), ("disk_write", "disk write"),
             ("disk_read", "disk read"))
    print("%s (%s), %d cores, %d GiB, Linux %s" % (
        m["cpu"], m["cpu_features"], m["cores"], m["memory_gib"],
        m["kernel"]))
    print("one core, GB/s: " + ", ".join(
        "%s %.2f" % (n, s[k] / 1e9) for k, n in names if s.get(k)))
    for case, c in result["cases"].items():
        if c.get("limits"):
            print("%s: zstd level 2 packs %.2f GB/s, unpacks %.2f; plain "
                  "calls take %s CPU s" % (
                      case, c["limits"]["pack"] / 1e9,
                      c["limits"]["unpack"] / 1e9, ", ".join(
                          "%s %.2f" % (k, c["limits"][k]["cpu_seconds"])
                          for k in ("walk", "read", "write")
                          if k in c["limits"])))


def markdown(result):
    m = result["machine"]
    s = result["limits_bytes_per_second"]
    print("Measured %s on %d cores of %s (%s), %d GiB, Linux %s%s." % (
        result["date"], m["cores"], m["cpu"], m["cpu_features"],
        m["memory_gib"], m["kernel"],
        ", sizes of `--quick`" if result["quick"] else ""))
    if s:
        print("One core: memcpy %.1f GB/s, SHA-256 ids %.2f, "
              "ChaCha20-Poly1305 %.1f; disk %.1f write, %.1f read." % tuple(
                  s.get(k, 0) / 1e9 for k in
                  ("copy", "id", "seal", "disk_write", "disk_read")))
    print()
    print("| case | step | wherry: s / CPU s / MiB | stored MB | best peer: s "
          "/ CPU s / MiB | least stored MB | speed | of what is possible |")
    print("|---|---|---|---|---|---|---|---|")
    for r in result["rows"]:
        if r["peer"]:
            continue
        about = result["cases"][r["case"]]["about"]
        peer = best_peer(result["rows"], r["case"], r["step"])
        kept = [x["stored_bytes"] for x in result["rows"]
                if x["peer"] and x["ok"] and x["stored_bytes"] is not None and
                (x["case"], x["step"]) == (r["case"], r["step"])]
        mine, theirs = cells(r), cells(peer) if peer else None
        part = "-"
        if r["ok"] and r.get("bound"):
            part = "%.0f %%" % (100 * r["bound"]["seconds"] /
                                r["wall_seconds"])
        print("| %s | %s | %s | %s | %s | %s | %s | %s |" % (
            about if r["step"] == "first" else "", r["step"],
            " / ".join(mine[2:5]) if r["ok"] else r["why"],
            mine[5] or "-",
            "%s: %s" % (peer["program"], " / ".join(theirs[2:5]))
            if peer else "-",
            number(min(kept) / 1e6, 0 if min(kept) >= 1e7 else 2)
            if kept else "-",
            "%.1f x" % r["speed_ratio"] if "speed_ratio" in r else "-",
            part))


def save(result, folder, path=None):
    """Write the result; without a path of its own, beside the history."""
    add = path is None
    if add:
        os.makedirs(folder, exist_ok=True)
        base = os.path.join(folder, "%s-%s" % (
            result["date"], result["machine_kind"]))
        path, n = base + ".json", 2
        while os.path.exists(path):
            path, n = "%s-%d.json" % (base, n), n + 1
    with open(path, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1, sort_keys=True)
        f.write("\n")
    if add:
        add_history(result, folder)
    return path


COLUMNS = ("date", "machine", "version", "case", "step", "wall_seconds",
           "cpu_seconds", "rss_mib", "stored_bytes", "best_peer",
           "speed_ratio", "of_bound")


def add_history(result, folder):
    path = os.path.join(folder, "history.tsv")
    fresh = not os.path.exists(path)
    with open(path, "a", encoding="utf-8") as f:
        if fresh:
            f.write("\t".join(COLUMNS) + "\n")
        for r in result["rows"]:
            if r["peer"] or not r["ok"]:
                continue
            part = ""
            if r.get("bound"):
                part = "%.3f" % (r["bound"]["seconds"] / r["wall_seconds"])
            f.write("\t".join(str(x) for x in (
                result["date"], result["machine_kind"], result["version"],
                r["case"], r["step"], "%.3f" % r["wall_seconds"],
                "%.3f" % r["cpu_seconds"], "%.0f" % r["rss_mib"],
                "" if r["stored_bytes"] is None else r["stored_bytes"],
                r.get("best_peer", ""), r.get("speed_ratio", ""),
                part)) + "\n")


def latest(folder):
    """The newest result in the folder, or None."""
    found = []
    if os.path.isdir(folder):
        found = [os.path.join(folder, n) for n in os.listdir(folder)
                 if n.endswith(".json")]
    if not found:
        return None
    with open(max(found, key=os.path.getmtime), encoding="utf-8") as f:
        return json.load(f)


def today():
    return time.strftime("%Y-%m-%d", time.gmtime())
