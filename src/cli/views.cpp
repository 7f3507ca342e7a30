#include "cli/views.hpp"

#include <cmath>

#include "cli/fields.hpp"
#include "cli/table.hpp"
#include "core/text.hpp"

namespace vnvme::cli {
namespace {

Style state_style(const std::string& state) {
  if (state == "ready" || state == "active" || state == "attached" || state == "online") return Style::good;
  if (state == "trash" || state == "creating" || state == "releasing" || state == "configuring")
    return Style::warning;
  return state == "offline" || state == "missing" ? Style::bad : Style::plain;
}

std::string table_or(const Table& table, const Terminal& terminal, std::string_view otherwise) {
  return table.empty() ? std::string(otherwise) : table.render(terminal);
}

std::string words_of(const Json& object, std::string_view name) {
  const Json* list = member(object, name);
  std::string out;
  if (list == nullptr || !list->is_array()) return out;
  for (const Json& v : *list)
    if (v.is_string()) out += (out.empty() ? "" : ", ") + v.get<std::string>();
  return out;
}

// A volume may be without a name; its id is always there.
Cell named(const Json& volume) {
  std::string name = word(volume, "name");
  return name.empty() ? Cell(word(volume, "volume"), Style::dim) : Cell(name, Style::bold);
}

// Reservations name the VM alone, attachments say "vm:" too.
std::string vm_word(const std::string& owner) {
  return owner.empty() || owner.starts_with("vm:") || owner == "dom0" ? owner_word(owner) : "VM " + owner;
}

Cell drive_use(const Json& d) {
  std::string by = word(d, "used_by");
  if (yes(d, "claimed")) return {by.empty() ? "in use" : "used by " + by, Style::plain};
  if (yes(d, "takeable")) return {yes(d, "volatile") ? "free (RAM: lost with the DPU)" : "free", Style::good};
  std::string reason = word(d, "reason");
  return {reason.empty() ? "cannot be taken" : reason, Style::warning};
}

}  // namespace

std::string show_dpus(const Json& answer, const Terminal& terminal) {
  Table table({{"DPU", false, 8},
               {"STATE"},
               {"FAMILY"},
               {"VERSION", false, 8, 1},
               {"SESSIONS", true, 0, 2},
               {"TROUBLE", false, 16},
               {"ADDRESS", false, 0, 3}});
  for (const Json& d : rows(answer, "dpus")) {
    bool up = yes(d, "connected");
    table.add({{dpu_word(d), Style::bold},
               {up ? "connected" : "lost", up ? Style::good : Style::bad},
               word(d, "family"),
               word(d, "version"),
               word(d, "generation"),
               {word(d, "trouble"), Style::warning},
               word(d, "name").empty() ? "" : word(d, "dpu")});
  }
  return table_or(table, terminal,
                  "No DPU is configured. Name one in /etc/vnvme/vnvmed.json, for example\n"
                  "  {\"dpus\": [{\"name\": \"dpu0\", \"uri\": \"tcp:192.168.100.2:5260\"}]}\n"
                  "then: systemctl restart vnvmed\n");
}

std::string show_drives(const Json& answer, const Terminal& terminal) {
  Table table({{"DPU", false, 12, 3},
               {"DRIVE", false, 12},
               {"SIZE", true},
               {"MODEL", false, 12, 2},
               {"SERIAL", false, 0, 1},
               {"USE", false, 16}});
  for (const Json& d : rows(answer, "drives"))
    table.add({word(d, "dpu"),
               {word(d, "name"), Style::bold},
               size_word(d, "size"),
               word(d, "model"),
               word(d, "serial"),
               drive_use(d)});
  return table_or(table, terminal, "No DPU has a drive. `vnvme dpu` shows whether they are connected.\n");
}

std::string show_pools(const Json& answer, const Terminal& terminal) {
  Table table({{"DPU", false, 12, 4},
               {"POOL", false, 12},
               {"ON", false, 0, 2},
               {"RAID", false, 14, 3},
               {"SIZE", true},
               {"FREE", true},
               {"USED", true},
               {"VOLUMES", true, 0, 1},
               {"SR", false, 0, 5}});
  for (const Json& p : rows(answer, "pools")) {
    auto total = number(p, "total"), free = number(p, "free");
    double used =
        total > 0 && free <= total ? static_cast<double>(total - free) / static_cast<double>(total) : 0;
    auto percent = std::lround(used * 100);
    std::string raid = word(p, "raid"), state = word(p, "raid_state");
    if (!raid.empty() && !state.empty()) raid += " " + state;
    if (auto rebuild = word(p, "rebuild_percent"); !rebuild.empty()) raid += ", rebuilt to " + rebuild + " %";
    bool foreign = yes(p, "foreign");
    table.add({word(p, "dpu"),
               {word(p, "name"), Style::bold},
               word(p, "drive"),
               {raid, state.empty() || state == "online" ? Style::plain : Style::bad},
               size_word(p, "total"),
               size_word(p, "free"),
               {std::to_string(percent) + " %", percent >= 95   ? Style::bad
                                                : percent >= 80 ? Style::warning
                                                                : Style::plain},
               word(p, "volumes"),
               foreign ? Cell("not ours", Style::dim) : Cell(word(p, "sr"))});
  }
  return table_or(
      table, terminal,
      "No pools. A pool is made by\n"
      "  xe sr-create type=vnvme name-label=NAME device-config:dpu=DPU device-config:drives=DRIVE\n"
      "`vnvme drives` lists the drives that can be taken, `vnvme dpu` whether all DPUs are connected.\n");
}

std::string show_volumes(const Json& answer, const Terminal& terminal) {
  Table table({{"NAME", false, 16},
               {"VOLUME", false, 0, 4},
               {"KIND", false, 0, 5},
               {"SIZE", true},
               {"USED", true, 0, 3},
               {"STATE"},
               {"FUNCTION", false, 12, 1},
               {"OWNER", false, 11},
               {"SR", false, 0, 6},
               {"NAME ON THE DPU", false, 0, 7}});
  for (const Json& v : rows(answer, "volumes")) {
    std::string state = yes(v, "missing") ? "missing" : word(v, "state"),
                owner = owner_word(word(v, "owner"));
    if (!owner.empty() && yes(v, "read_only")) owner += " (ro)";
    table.add({named(v),
               word(v, "volume"),
               word(v, "kind"),
               size_word(v, "size"),
               size_word(v, "allocated"),
               {state, state_style(state)},
               function_word(v),
               owner,
               word(v, "sr"),
               {word(v, "dpu_name"), Style::dim}});
  }
  return table_or(table, terminal,
                  "No volumes. Make one with\n"
                  "  xe vdi-create sr-uuid=SR name-label=NAME virtual-size=20GiB\n");
}

std::string show_functions(const Json& answer, const Terminal& terminal) {
  Table table({{"DPU", false, 12, 5},
               {"BDF"},
               {"FUNCTION", false, 12, 2},
               {"SERIAL", false, 0, 3},
               {"KIND", false, 0, 4},
               {"DRIVER", false, 0, 1},
               {"STATE"},
               {"NS", true},
               {"RESERVED FOR", false, 12}});
  for (const Json& f : rows(answer, "functions")) {
    Cell state = yes(f, "foreign")           ? Cell("not ours", Style::dim)
                 : yes(f, "ready")           ? Cell("ready", Style::good)
                 : word(f, "serial").empty() ? Cell("idle", Style::dim)
                                             : Cell("not ready", Style::warning);
    const Json* spaces = member(f, "namespaces");
    std::string count =
        spaces != nullptr && spaces->is_array() ? std::to_string(spaces->size()) : word(f, "namespaces");
    std::string reserved = word(f, "reserved_for");
    table.add({word(f, "dpu"),
               {word(f, "bdf").empty() ? "-" : word(f, "bdf"), Style::bold},
               word(f, "function"),
               word(f, "serial"),
               word(f, "kind"),
               word(f, "driver"),
               state,
               count,
               yes(f, "spare") ? Cell("(spare)", Style::dim) : Cell(vm_word(reserved))});
  }
  return table_or(table, terminal, "No functions. `vnvme dpu` shows whether a DPU is connected.\n");
}

std::string show_attachments(const Json& answer, const Terminal& terminal) {
  Table table({{"NAME", false, 16},
               {"VOLUME", false, 0, 4},
               {"OWNER", false, 11},
               {"DOMAINS", false, 8, 3},
               {"FUNCTION", false, 12, 1},
               {"NSID", true},
               {"MODE"},
               {"STATE", false, 0, 2},
               {"DEVICE", false, 0, 1}});
  for (const Json& a : rows(answer, "attachments")) {
    std::string state = word(a, "state"), domains = words_of(a, "domains");
    table.add({named(a),
               word(a, "volume"),
               owner_word(word(a, "owner")),
               domains.empty() ? word(a, "domains") : domains,
               function_word(a),
               word(a, "nsid"),
               word(a, "mode"),
               {state, state_style(state)},
               word(a, "device")});
  }
  return table_or(table, terminal, "Nothing is attached.\n");
}

std::string show_events(const Json& answer, const Terminal& terminal) {
  Table table({{"TIME"}, {"LEVEL"}, {"ABOUT", false, 10, 1}, {"WHAT", false, 20}});
  for (const Json& e : rows(answer, "events")) {
    std::string level = word(e, "level");
    Style style = level == "error" ? Style::bad : level == "warning" ? Style::warning : Style::dim;
    table.add({{clock_time(integer_of(e, "wall_ms").value_or(0)), Style::dim},
               {level, style},
               word(e, "object"),
               word(e, "text")});
  }
  return table.empty() ? "" : table.render(terminal, false);
}

std::string show_doctor(const Json& answer, const Terminal& terminal) {
  std::string out;
  std::size_t warnings = 0, problems = 0;
  for (const Json& c : rows(answer, "checks")) {
    std::string state = word(c, "state");
    bool problem = state != "ok" && state != "warning";
    warnings += state == "warning" ? 1 : 0;
    problems += problem ? 1 : 0;
    std::string mark = problem              ? (terminal.utf8 ? "✘" : "X")
                       : state == "warning" ? "!"
                                            : (terminal.utf8 ? "✔" : "+");
    Style style = problem ? Style::bad : state == "warning" ? Style::warning : Style::good;
    out += paint(terminal, style, mark) + " " + paint(terminal, Style::bold, printable(word(c, "check"), 80));
    if (auto text = word(c, "text"); !text.empty()) out += ": " + printable(text, 2000);
    out += "\n";
    if (auto repair = word(c, "repair"); state != "ok" && !repair.empty())
      out += "    repair: " + printable(repair, 2000) + "\n";
  }
  if (problems + warnings == 0) return out + paint(terminal, Style::good, "Nothing is wrong.") + "\n";
  return out +
         paint(terminal, problems > 0 ? Style::bad : Style::warning,
               plural(problems, "problem", "problems") + ", " + plural(warnings, "warning", "warnings")) +
         "\n";
}

bool has_problem(const Json& answer) {
  for (const Json& c : rows(answer, "checks")) {
    std::string state = word(c, "state");
    if (state != "ok" && state != "warning") return true;
  }
  return false;
}

std::string show_reserved(const Json& answer, const Terminal&) {
  std::string bdf = word(answer, "bdf");
  return "Reserved function " + printable(word(answer, "function"), 200) +
         (bdf.empty() ? "" : " at " + printable(bdf, 40)) +
         (word(answer, "serial").empty() ? "" : ", serial " + printable(word(answer, "serial"), 40)) + ".\n";
}

std::string show_unreserved(const Json&, const Terminal&) {
  return "The function is free again.\n";
}

std::string show_adopted(const Json& answer, const Terminal&) {
  std::string out;
  bool all_accepted = true;
  const Json one = answer.is_array() ? answer : Json::array({answer});
  for (const Json& sr : one) {
    std::uint64_t missing = number(sr, "missing_names");
    bool accepted = yes(sr, "accepted");
    out += "SR " + printable(word(sr, "sr"), 64) + ": " + plural(number(sr, "volumes"), "volume", "volumes") +
           ", " + (missing == 0 ? "all with names" : std::to_string(missing) + " without a name") +
           (accepted ? ", taken as it is\n" : ", waits to be accepted\n");
    all_accepted = all_accepted && accepted;
  }
  if (one.empty()) return "No SR waits to be adopted.\n";
  if (all_accepted) return out;
  return out +
         "Until they are accepted XAPI's scan of these SRs is refused, so that it keeps the names that it "
         "still has.\n"
         "Bring back the copy of the state file (docs/configuration.md), or go on without what is lost:\n"
         "  vnvme adopt --accept-missing\n";
}

}  // namespace vnvme::cli
