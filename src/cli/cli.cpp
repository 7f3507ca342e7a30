#include "cli/cli.hpp"

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "cli/client.hpp"
#include "cli/verbs.hpp"
#include "cli/views.hpp"
#include "core/json.hpp"
#include "core/text.hpp"

namespace vnvme::cli {
namespace {

struct CommandLine {
  std::string socket = "/run/vnvme/admin.sock";
  bool json = false, help = false;
  When colour = When::automatic;
  std::vector<std::string> words;  // the verb and what belongs to it
};

int wrong_usage(const std::string& text) {
  std::fprintf(stderr, "vnvme: %s\n", text.c_str());
  return kUsage;
}

// Nothing: go on.
std::optional<int> read_command_line(int argc, char** argv, CommandLine& line) {
  if (const char* socket = std::getenv("VNVME_ADMIN_SOCKET"); socket != nullptr && *socket != '\0')
    line.socket = socket;
  std::string colour = "auto";
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    auto value_of = [&](const std::string& name, std::string& into) {
      if (word.starts_with(name + "=")) {
        into = word.substr(name.size() + 1);
        return true;
      }
      if (word != name || i + 1 >= argc) return false;
      into = argv[++i];
      return true;
    };
    if (value_of("--socket", line.socket) || value_of("--color", colour)) continue;
    if (word == "--socket" || word == "--color") return wrong_usage(word + " wants a value");
    if (word == "--json") {
      line.json = true;
    } else if (word == "--help" || word == "-h") {
      line.help = true;
    } else if (word == "--version" && line.words.empty()) {
      std::puts("vnvme " VNVME_VERSION);
      return kDone;
    } else {
      line.words.push_back(std::move(word));
    }
  }
  if (colour != "auto" && colour != "always" && colour != "never")
    return wrong_usage("--color is '" + printable(colour, 40) + "'; accepted: auto, always, never");
  line.colour = colour == "always" ? When::always : colour == "never" ? When::never : When::automatic;
  return std::nullopt;
}

int failed(const Error& error, const CommandLine& line) {
  bool unreachable = error.code == Errc::unreachable;
  std::string advice =
      unreachable ? "\nIs it running?  systemctl status vnvmed    journalctl -u vnvmed -e" : "";
  if (line.json) {
    std::printf("%s\n",
                dump_json({{"error", {{"code", to_string(error.code)}, {"text", error.text}}}}).c_str());
  } else {
    std::fprintf(stderr, "vnvme: %s%s\n", printable(error.text, 4000).c_str(), advice.c_str());
  }
  return unreachable ? kUnreachable : kFailed;
}

int print(const std::string& text, int code) {
  bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written) std::fprintf(stderr, "vnvme: cannot write the answer to standard output\n");
  return written ? code : kFailed;
}

// The picture is made of several answers; one that fails leaves a hole with a reason, not an error.
int show_whole_status(Client& client, const Verb& verb, const Json& status, const Terminal& terminal) {
  std::map<std::string, Json> parts;
  std::map<std::string, std::string> missing;
  for (const char* name : {"drives", "pools", "volumes", "functions", "attachments"}) {
    auto answer = client.ask(name, Json::object(), verb.limit);
    parts[name] = answer ? std::move(*answer) : Json::array();
    if (!answer) missing[name] = answer.error().text;
  }
  return print(show_status({status, parts["drives"], parts["pools"], parts["volumes"], parts["functions"],
                            parts["attachments"], missing},
                           terminal),
               kDone);
}

int follow(Client& client, const Verb& verb, const Json& args, const CommandLine& line,
           const Terminal& terminal) {
  auto ended = client.follow(verb.name, args, [&](const Json& answer) {
    if (!line.json) return print(verb.show(answer, terminal), kDone) == kDone;
    std::string text;
    const Json* events = member(answer, "events");
    if (events != nullptr && events->is_array())
      for (const Json& e : *events) text += dump_json(e) + "\n";
    return print(text, kDone) == kDone;
  });
  return ended ? kFailed : failed(ended.error(), line);
}

// Rows name their DPU by its address; people know it by the name that they gave it.
void name_dpus(Client& client, const Verb& verb, Json& answer) {
  std::string_view name = verb.name;
  if ((name != "drives" && name != "pools" && name != "functions") || !answer.is_array() || answer.empty())
    return;
  auto dpus = client.ask("dpu", Json::object(), verb.limit);
  if (!dpus || !dpus->is_array()) return;  // addresses will do
  std::map<std::string, std::string> names;
  for (const Json& d : *dpus)
    if (auto given = text_of(d, "name"); given && !given->empty())
      names[text_of(d, "dpu").value_or("")] = *given;
  for (Json& row : answer) {
    auto known = names.find(text_of(row, "dpu").value_or(""));
    if (known != names.end()) row["dpu"] = known->second;
  }
}

int ask(const Verb& verb, Json args, const CommandLine& line) {
  Client client(line.socket);
  Terminal terminal = look_at_stdout(line.colour);
  if (std::string_view(verb.name) == "events" && !args.contains("max")) args["max"] = 50;
  if (flag_of(args, "follow").value_or(false)) return follow(client, verb, args, line, terminal);
  auto answer = client.ask(verb.name, args, verb.limit);
  if (!answer) return failed(answer.error(), line);
  int code = std::string_view(verb.name) == "doctor" && has_problem(*answer) ? kProblems : kDone;
  if (line.json) return print(dump_json(*answer) + "\n", code);
  if (verb.show == nullptr) return show_whole_status(client, verb, *answer, terminal);
  name_dpus(client, verb, *answer);
  return print(verb.show(*answer, terminal), code);
}

}  // namespace

int run(int argc, char** argv) {
  CommandLine line;
  if (auto code = read_command_line(argc, argv, line)) return *code;
  if (line.words.empty() || line.words[0] == "help") {
    const Verb* about = line.words.size() > 1 ? find_verb(line.words[1]) : nullptr;
    bool asked = line.help || !line.words.empty();
    std::string text = about != nullptr ? help_of(*about) : general_help();
    if (asked) return print(text, kDone);
    std::fputs(text.c_str(), stderr);
    return kUsage;
  }
  if (line.words[0] == "completion") return print(bash_completion(), kDone);
  const Verb* verb = find_verb(line.words[0]);
  if (verb == nullptr) {
    std::vector<std::string> known;
    for (const Verb& v : verbs()) known.emplace_back(v.name);
    std::string near = nearest(line.words[0], known);
    return wrong_usage("there is no verb '" + printable(line.words[0], 60) + "'" +
                       (near.empty() ? "" : "; did you mean '" + near + "'?") +
                       "\nverbs: " + join(known, ", "));
  }
  if (line.help) return print(help_of(*verb), kDone);
  auto args = read_words(*verb, std::span(line.words).subspan(1));
  if (!args) return wrong_usage(args.error().text);
  return ask(*verb, std::move(*args), line);
}

}  // namespace vnvme::cli
