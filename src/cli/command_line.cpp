// From the table of verbs: reading words, writing help, completing.
#include <algorithm>
#include <charconv>

#include "cli/verbs.hpp"
#include "core/json.hpp"
#include "core/text.hpp"

namespace vnvme::cli {
namespace {

constexpr const char* kCommon =
    "  --json             the answer as JSON, one line; see docs/cli.md for its members\n"
    "  --socket PATH      the daemon's admin socket (or $VNVME_ADMIN_SOCKET;\n"
    "                     default /run/vnvme/admin.sock)\n"
    "  --color WHEN       auto (default: on a terminal, unless NO_COLOR is set), always, never\n"
    "  --help, --version\n";

tl::unexpected<Error> usage(const std::string& text) {
  return fail(Errc::invalid_argument, text);
}

Result<void> take_value(const Option& option, const std::string& value, Json& args) {
  if (option.takes == Takes::text) {
    args[option.key] = value;
    return {};
  }
  std::uint64_t n = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
  if (error != std::errc{} || end != value.data() + value.size())
    return usage(std::string(option.name) + " wants a number, not '" + printable(value, 60) + "'");
  args[option.key] = n;
  return {};
}

// Takes the option at words[i]; i ends on the last word that it used.
Result<void> take_option(const Verb& verb, std::span<const std::string> words, std::size_t& i, Json& args) {
  std::string name = words[i], value;
  auto equals = name.find('=');
  bool inside = equals != std::string::npos;
  if (inside) {
    value = name.substr(equals + 1);
    name.resize(equals);
  }
  std::vector<std::string> known{"--json", "--socket", "--color", "--help"};
  for (const Option& option : verb.options) {
    known.emplace_back(option.name);
    if (name != option.name) continue;
    if (option.takes == Takes::nothing) {
      if (inside) return usage(name + " takes no value");
      args[option.key] = true;
      return {};
    }
    if (!inside && i + 1 == words.size()) return usage(name + " wants a value");
    return take_value(option, inside ? value : words[++i], args);
  }
  std::string near = nearest(name, known);
  return usage("vnvme " + std::string(verb.name) + " has no option '" + printable(name, 60) + "'" +
               (near.empty() ? "" : "; did you mean " + near + "?"));
}

std::string synopsis(const Verb& verb) {
  std::string out = "vnvme " + std::string(verb.name);
  for (const Positional& p : verb.positionals)
    out += p.required ? std::string(" ") + p.name : std::string(" [") + p.name + "]";
  for (const Option& o : verb.options) {
    out += std::string(" [") + o.name;
    out += o.takes == Takes::nothing ? "]" : o.takes == Takes::number ? " N]" : " TEXT]";
  }
  return out;
}

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

Result<Json> read_words(const Verb& verb, std::span<const std::string> words) {
  Json args = Json::object();
  std::size_t next = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& w = words[i];
    if (!is_utf8(w)) return usage("an argument is not valid UTF-8");
    if (w.starts_with("-") && w.size() > 1) {
      VNVME_TRY(take_option(verb, words, i, args));
      continue;
    }
    if (next == verb.positionals.size())
      return usage("'" + printable(w, 60) + "' is one word too many; usage: " + synopsis(verb));
    args[verb.positionals[next++].key] = w;
  }
  if (next < verb.positionals.size() && verb.positionals[next].required)
    return usage("vnvme " + std::string(verb.name) + " needs " + verb.positionals[next].name +
                 "; usage: " + synopsis(verb));
  return args;
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  std::string best;
  std::size_t least = 3;
  if (word.size() > 40) return best;
  for (const std::string& k : known) {
    std::size_t d = k.starts_with(word) && word.size() >= 2 ? 1 : distance(word, k);
    if (d < least && d < k.size()) best = k, least = d;
  }
  return best;
}

std::string general_help() {
  std::string out =
      "vnvme: shows and steers vnvmed, which gives VMs the NVMe drives of a DPU\n"
      "\n"
      "  vnvme VERB [WORDS] [OPTIONS]\n"
      "\n"
      "Verbs (vnvme VERB --help tells more):\n";
  for (const Verb& v : verbs()) out += "  " + pad(v.name, 13, false) + v.summary + "\n";
  return out + "\nOptions of every verb:\n" + kCommon +
         "\n"
         "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 vnvmed is not reachable, 4 doctor found problems.\n"
         "Start with: vnvme status\n";
}

std::string help_of(const Verb& verb) {
  std::string out = synopsis(verb) + "\n\n" + verb.summary + "\n\n" + verb.story + "\n\nOptions:\n";
  for (const Option& o : verb.options) {
    const char* value = o.takes == Takes::nothing ? "" : o.takes == Takes::number ? " N" : " TEXT";
    out += "  " + pad(std::string(o.name) + value, 18, false) + " " + o.help + "\n";
  }
  out += kCommon;
  out += "\nExamples:\n";
  for (const char* e : verb.examples) out += std::string("  ") + e + "\n";
  return out;
}

std::string bash_completion() {
  std::string out =
      "# bash completion for vnvme; made by `vnvme completion`\n"
      "_vnvme() {\n"
      "  local word=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\" verb=\"\" i\n"
      "  local common=\"--json --socket --color --help\"\n"
      "  COMPREPLY=()\n"
      "  case \"$before\" in\n"
      "    --socket) mapfile -t COMPREPLY < <(compgen -f -- \"$word\"); return ;;\n"
      "    --color) mapfile -t COMPREPLY < <(compgen -W \"auto always never\" -- \"$word\"); return ;;\n"
      "  esac\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case \"${COMP_WORDS[i]}\" in\n"
      "      --socket|--color) ((i++)) ;;\n"
      "      -*) ;;\n"
      "      *) verb=\"${COMP_WORDS[i]}\"; break ;;\n"
      "    esac\n"
      "  done\n"
      "  local words\n"
      "  case \"$verb\" in\n"
      "    \"\") words=\"";
  for (const Verb& v : verbs()) out += std::string(v.name) + " ";
  out += "$common --version\" ;;\n";
  for (const Verb& v : verbs()) {
    if (v.options.empty()) continue;
    out += "    " + std::string(v.name) + ") words=\"";
    for (const Option& o : v.options) out += std::string(o.name) + " ";
    out += "$common\" ;;\n";
  }
  return out +
         "    *) words=\"$common\" ;;\n"
         "  esac\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
         "}\n"
         "complete -F _vnvme vnvme\n";
}

}  // namespace vnvme::cli
