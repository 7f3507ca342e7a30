// `vnvme status`: drives -> pool -> volumes -> functions -> VMs, as one tree a DPU.
#include <algorithm>
#include <cmath>
#include <set>

#include "cli/fields.hpp"
#include "cli/table.hpp"
#include "cli/views.hpp"
#include "core/text.hpp"

namespace vnvme::cli {
namespace {

constexpr std::size_t kVolumesShown = 12;  // a pool; the rest is counted

struct Node {
  std::string text;
  std::vector<Node> below;
};

std::string line_of(const Terminal& terminal, std::size_t depth, const std::vector<Cell>& cells) {
  std::size_t room = terminal.width == 0          ? SIZE_MAX
                     : terminal.width > depth * 3 ? terminal.width - depth * 3
                                                  : 1;
  std::string out;
  for (const Cell& c : cells) {
    if (c.text.empty()) continue;
    if (!out.empty() && room <= 3) break;
    if (!out.empty()) out += "  ", room -= 2;
    std::string text = fit(terminal, printable(c.text, 400), room);
    room -= std::min(room, display_width(text));
    out += paint(terminal, c.style, text);
  }
  return out;
}

void draw(const Terminal& terminal, const std::vector<Node>& nodes, const std::string& before,
          std::string& out) {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    bool last = i + 1 == nodes.size();
    std::string branch = terminal.utf8 ? (last ? "└─ " : "├─ ") : (last ? "`- " : "|- ");
    std::string trunk = last ? "   " : terminal.utf8 ? "│  " : "|  ";
    out += paint(terminal, Style::dim, before + branch) + nodes[i].text + "\n";
    draw(terminal, nodes[i].below, before + trunk, out);
  }
}

class StatusView {
 public:
  StatusView(const StatusParts& parts, const Terminal& terminal) : p_(parts), t_(terminal) {}

  std::string draw_all() {
    std::string out = head();
    const Json& dpus = rows(p_.status, "dpus");
    for (const Json& d : dpus) {
      out += "\n" + dpu_line(d);
      draw(t_, below_dpu(word(d, "dpu")), "", out);
    }
    if (dpus.empty()) out += "\n" + show_dpus(Json::array(), t_);
    std::vector<Node> orphans;
    for (const Json& s : rows(p_.status, "srs"))
      if (!shown_.contains(word(s, "sr"))) orphans.push_back(sr_node(s, nullptr));
    if (!orphans.empty()) {
      out += "\n" + paint(t_, Style::warning, "SRs whose DPU is not configured here") + "\n";
      draw(t_, orphans, "", out);
    }
    return out + work();
  }

 private:
  std::string head() {
    bool ready = yes(p_.status, "ready");
    std::string attached = std::to_string(number(p_.status, "attachments_total")) + " of " +
                           plural(number(p_.status, "volumes_total"), "volume", "volumes") + " attached";
    return line_of(t_, 0,
                   {{"vnvme " + word(p_.status, "version"), Style::bold},
                    ready ? Cell("ready", Style::good) : Cell("not all DPUs are ready", Style::warning),
                    "up " + duration(number(p_.status, "uptime_s")),
                    attached}) +
           "\n";
  }

  std::string dpu_line(const Json& d) {
    bool up = yes(d, "connected");
    std::string dot = t_.utf8 ? "●" : "*";
    std::string trouble = word(d, "trouble");
    return paint(t_, up ? Style::good : Style::bad, dot) + " " +
           line_of(t_, 1,
                   {{dpu_word(d), Style::bold},
                    word(d, "family") + " " + word(d, "version"),
                    up ? Cell("") : Cell(trouble.empty() ? "not connected" : trouble, Style::bad)}) +
           "\n";
  }

  std::vector<Node> below_dpu(const std::string& dpu) {
    std::vector<Node> nodes;
    std::set<std::string> seen;
    for (const Json& s : rows(p_.status, "srs")) {
      if (word(s, "dpu") != dpu) continue;
      nodes.push_back(sr_node(s, pool_of(s)));
      seen.insert(word(s, "pool"));
    }
    for (const Json& pool : rows(p_.pools))
      if (word(pool, "dpu") == dpu && !seen.contains(word(pool, "pool"))) nodes.push_back(stray_pool(pool));
    for (Node& n : drive_nodes(dpu)) nodes.push_back(std::move(n));
    if (auto functions = function_summary(dpu); !functions.empty()) nodes.push_back({functions, {}});
    return nodes;
  }

  const Json* pool_of(const Json& sr) {
    for (const Json& pool : rows(p_.pools))
      if (word(pool, "pool") == word(sr, "pool") && word(pool, "dpu") == word(sr, "dpu")) return &pool;
    return nullptr;
  }

  Node sr_node(const Json& sr, const Json* pool) {
    std::string id = word(sr, "sr"), health = word(sr, "health"), state = word(sr, "state");
    bool healthy = health == "Healthy" || health == "healthy";
    shown_.insert(id);
    Style style = healthy ? Style::good : health == "Recovering" ? Style::warning : Style::bad;
    std::string reason = word(sr, "health_text");
    std::string name = word(sr, "name").empty() ? id : word(sr, "name");
    Node node{line_of(t_, 1,
                      {{"SR " + name, Style::bold},
                       {word(sr, "type"), Style::dim},
                       state == "ready" || state.empty() ? Cell("") : Cell(state, Style::warning),
                       yes(sr, "attached") ? Cell("") : Cell("not attached", Style::warning),
                       {health, style},
                       reason}),
              {}};
    node.below.push_back({usage(number(sr, "total"), number(sr, "free")), {}});
    if (pool != nullptr) node.below.push_back({pool_line(*pool), {}});
    add_volumes(id, number(sr, "volumes"), node);
    return node;
  }

  Node stray_pool(const Json& pool) {
    bool foreign = yes(pool, "foreign");
    Node node{line_of(t_, 1,
                      {{"pool " + word(pool, "name"), Style::bold},
                       {foreign ? "not ours, left alone" : "no SR has it", Style::dim},
                       foreign ? "" : "introduce its SR to XAPI again, or see vnvme adopt --help"}),
              {}};
    node.below.push_back({usage(number(pool, "total"), number(pool, "free")), {}});
    return node;
  }

  std::string usage(std::uint64_t total, std::uint64_t free) {
    if (total == 0) return line_of(t_, 2, {{"size not known yet", Style::dim}});
    std::uint64_t used = free <= total ? total - free : 0;
    double part = static_cast<double>(used) / static_cast<double>(total);
    Style style = part >= 0.95 ? Style::bad : part >= 0.8 ? Style::warning : Style::good;
    std::size_t columns = t_.width == 0 || t_.width >= 80 ? 24 : t_.width >= 50 ? 12 : 6;
    return line_of(t_, 2,
                   {{bar(t_, part, columns), style},
                    human(Bytes{used}) + " of " + human(Bytes{total}) + " used",
                    {std::to_string(std::lround(part * 100)) + " %", style}});
  }

  std::string pool_line(const Json& pool) {
    std::string drive = word(pool, "drive"), raid = word(pool, "raid"), raid_state = word(pool, "raid_state");
    std::string model, rebuild = word(pool, "rebuild_percent");
    for (const Json& d : rows(p_.drives)) {
      if (word(d, "name") != drive || word(d, "dpu") != word(pool, "dpu")) continue;
      model = word(d, "model") + (word(d, "serial").empty() ? "" : " " + word(d, "serial"));
    }
    bool healthy = raid_state.empty() || raid_state == "online";
    return line_of(t_, 2,
                   {"on " + (drive.empty() ? "?" : drive),
                    {model, Style::dim},
                    raid.empty() ? "" : raid,
                    raid.empty() ? Cell("") : Cell(raid_state, healthy ? Style::good : Style::bad),
                    rebuild.empty() ? Cell("") : Cell("rebuilt to " + rebuild + " %", Style::warning)});
  }

  const Json* attachment_of(const std::string& volume) {
    for (const Json& a : rows(p_.attachments))
      if (word(a, "volume") == volume) return &a;
    return nullptr;
  }

  // A volume's function as the host sees it, when the DPU's list tells.
  std::string where(const Json& volume) {
    for (const Json& f : rows(p_.functions))
      if (word(f, "function") == word(volume, "function") && !word(f, "bdf").empty()) return word(f, "bdf");
    return function_word(volume);
  }

  void add_volumes(const std::string& sr, std::uint64_t known, Node& node) {
    std::vector<const Json*> mine;
    for (const Json& v : rows(p_.volumes))
      if (word(v, "sr") == sr) mine.push_back(&v);
    // those in use first, else as the daemon lists them
    std::stable_partition(mine.begin(), mine.end(), [](const Json* v) { return !word(*v, "owner").empty(); });
    Table table({{"", false, 14},
                 {"", true},
                 {"", false, 0, 3},
                 {"", false, 0, 2},
                 {"", false, 0, 1},
                 {"", false, 0, 4},
                 {"", false, 13}});
    std::string arrow = t_.utf8 ? "→ " : "-> ";
    for (std::size_t i = 0; i < std::min(mine.size(), kVolumesShown); ++i) {
      const Json& v = *mine[i];
      std::string name = word(v, "name").empty() ? word(v, "volume") : word(v, "name");
      std::string kind = word(v, "kind"), state = word(v, "state"), owner = word(v, "owner");
      Cell what = state != "ready" && !state.empty() ? Cell(state, Style::warning)
                  : kind == "data"                   ? Cell("")
                                                     : Cell(kind, Style::dim);
      if (owner.empty()) {
        table.add({{name, Style::bold}, size_word(v, "size"), what});
        continue;
      }
      const Json* a = attachment_of(word(v, "volume"));
      std::string nsid = a != nullptr && !word(*a, "nsid").empty() ? "ns " + word(*a, "nsid") : "";
      table.add({{name, Style::bold},
                 size_word(v, "size"),
                 what,
                 yes(v, "read_only") ? "ro" : "rw",
                 arrow + where(v),
                 nsid,
                 {arrow + owner_word(owner), Style::good}});
    }
    for (std::string& text : table.lines(t_, false, 6)) node.below.push_back({std::move(text), {}});
    if (mine.size() > kVolumesShown)
      node.below.push_back(
          {line_of(
               t_, 2,
               {{"and " + std::to_string(mine.size() - kVolumesShown) + " more: vnvme volumes", Style::dim}}),
           {}});
    if (mine.empty() && p_.missing.contains("volumes"))
      node.below.push_back(
          {line_of(t_, 2,
                   {{plural(known, "volume", "volumes") + ", not listed: " + p_.missing.at("volumes"),
                     Style::warning}}),
           {}});
    if (mine.empty() && !p_.missing.contains("volumes"))
      node.below.push_back({line_of(t_, 2, {{"no volumes yet", Style::dim}}), {}});
  }

  std::vector<Node> drive_nodes(const std::string& dpu) {
    std::vector<Node> nodes;
    for (const Json& d : rows(p_.drives)) {
      if (word(d, "dpu") != dpu || yes(d, "claimed")) continue;
      bool free = yes(d, "takeable");
      nodes.push_back({line_of(t_, 1,
                               {"drive " + word(d, "name"),
                                size_word(d, "size"),
                                {word(d, "model"), Style::dim},
                                {word(d, "serial"), Style::dim},
                                free ? Cell("free", Style::good) : Cell(word(d, "reason"), Style::warning)}),
                       {}});
    }
    return nodes;
  }

  std::string function_summary(const std::string& dpu) {
    std::uint64_t all = 0, used = 0, reserved = 0, spare = 0, foreign = 0;
    for (const Json& f : rows(p_.functions)) {
      if (word(f, "dpu") != dpu) continue;
      ++all;
      const Json* spaces = member(f, "namespaces");
      bool busy = spaces != nullptr && (spaces->is_array() ? !spaces->empty() : number(f, "namespaces") > 0);
      ++(yes(f, "foreign") ? foreign : busy ? used : !word(f, "reserved_for").empty() ? reserved : spare);
    }
    if (all == 0) return "";
    std::string text = std::to_string(used) + " in use";
    if (reserved > 0) text += ", " + std::to_string(reserved) + " reserved";
    text += ", " + std::to_string(spare) + " spare";
    if (foreign > 0) text += ", " + std::to_string(foreign) + " not ours";
    return line_of(t_, 1, {plural(all, "function:", "functions:") + " " + text});
  }

  std::vector<Cell> wipe_cells(const Json& w) {
    auto total = number(w, "total"), done = number(w, "done");
    std::vector<Cell> cells{{"wiping", Style::warning}, word(w, "volume")};
    if (number_of(w, "done")) {
      double part = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0;
      cells.push_back({bar(t_, part, 12), Style::good});
      cells.emplace_back(human(Bytes{done}) + " of " + human(Bytes{total}));
    } else {
      cells.emplace_back(human(Bytes{total}));
    }
    if (number_of(w, "rate")) cells.emplace_back(human(Bytes{number(w, "rate")}) + "/s");
    if (number_of(w, "eta_s"))
      cells.emplace_back(duration(number(w, "eta_s")) + " left");
    else if (number_of(w, "since_ms"))
      cells.emplace_back("for " + duration(number(w, "since_ms") / 1000));
    return cells;
  }

  // What goes on in the background, and what could not be shown.
  std::string work() {
    std::string out;
    auto add = [&](const std::vector<Cell>& cells) { out += line_of(t_, 0, cells) + "\n"; };
    for (const Json& b : rows(p_.status, "busy"))
      add({{word(b, "what"), Style::warning},
           word(b, "object"),
           "for " + duration(number(b, "since_ms") / 1000)});
    for (const Json& w : rows(p_.status, "wipes")) add(wipe_cells(w));
    if (auto n = number(p_.status, "intents"); n > 0)
      add({{plural(n, "operation is", "operations are") + " not finished", Style::warning}});
    if (auto n = number(p_.status, "queue"); n > 0)
      add({{plural(n, "detach waits", "detaches wait") + " to be carried out", Style::warning}});
    for (const auto& [verb, why] : p_.missing) add({{"cannot show " + verb + ": " + why, Style::bad}});
    return out.empty() ? out : "\n" + out;
  }

  const StatusParts& p_;
  const Terminal& t_;
  std::set<std::string> shown_;
};

}  // namespace

std::string show_status(const StatusParts& parts, const Terminal& terminal) {
  return StatusView(parts, terminal).draw_all();
}

}  // namespace vnvme::cli
