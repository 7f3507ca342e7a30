"""The table: what was measured, the goal, and whether it was met."""
import sys


class Report:
    def __init__(self):
        self.rows = []

    @staticmethod
    def progress(text):
        print(f"  {text} …", file=sys.stderr, flush=True)

    def goal(self, what, value, limit, unit, how):
        """Met when value <= limit."""
        self.rows.append((what, f"{_number(value)}{unit}", f"<= {_number(limit)}{unit}",
                          "met" if value <= limit else "MISSED", how))

    def at_least(self, what, value, limit, unit, how):
        self.rows.append((what, f"{_number(value)}{unit}", f">= {_number(limit)}{unit}",
                          "met" if value >= limit else "MISSED", how))

    def note(self, what, value, unit, how):
        self.rows.append((what, f"{_number(value)}{unit}", "", "", how))

    def table(self):
        head = ("what", "seen", "goal", "")
        width = [max(len(row[i]) for row in [head, *self.rows]) for i in range(4)]
        for row in [head, *self.rows]:
            print(f"{row[0]:<{width[0]}}  {row[1]:>{width[1]}}  {row[2]:>{width[2]}}  {row[3]}".rstrip())
            if len(row) > 4:
                print("    " + row[4])
        judged = [row[3] for row in self.rows if row[3]]
        print(f"\n{judged.count('met')} of {len(judged)} goals met.")


def _number(value):
    return f"{value:.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.2f}" if abs(value) < 10 \
        else f"{value:.1f}"
