#include "hostplugin/functions.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include "core/json.hpp"
#include "core/text.hpp"

namespace vnvme::hostplugin {
namespace {

using std::chrono::seconds;
constexpr seconds kLimit{30};  // XAPI has no time-out of its own
constexpr std::size_t kMostEvents = 1000;
constexpr std::uint64_t kEvents = 50;
constexpr std::size_t kMostAnswer = 16u << 20;  // it goes through XAPI as one string

struct Function {
  const char* name;
  std::set<std::string> arguments;  // that it takes
};

const std::vector<Function>& functions() {
  static const std::vector<Function> all{{"status", {}},      {"dpu", {}},         {"probe", {"dpu"}},
                                         {"drives", {"dpu"}}, {"pools", {"dpu"}},  {"functions", {"dpu"}},
                                         {"volumes", {"sr"}}, {"attachments", {}}, {"events", {"max"}}};
  return all;
}

// "busy" -> VNVME_BUSY: the code of a XenAPI error.
std::vector<std::string> words_of(const Error& error) {
  std::string code = "VNVME_";
  for (char c : to_string(error.code)) code += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return {code, printable(error.text, 2000)};
}

Result<Json> arguments_of(const Call& call, const Function& function) {
  Json out = Json::object();
  for (const auto& [name, value] : call.arguments) {
    if (!function.arguments.contains(name))
      return fail(Errc::invalid_argument,
                  std::string(function.name) + " takes no argument '" + printable(name, 40) + "'");
    out[name] = value;
  }
  if (std::string_view(function.name) != "events") return out;
  std::uint64_t most = kEvents;
  if (const Json* given = member(out, "max")) {
    const auto& text = given->get_ref<const std::string&>();
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), most);
    if (error != std::errc() || end != text.data() + text.size() || most == 0 || most > kMostEvents)
      return fail(Errc::invalid_argument, "max is a number from 1 to 1000");
  }
  return Json{{"max", most}};
}

bool is_dpu(const Json& dpu, const std::string& wanted) {
  return dpu.is_object() &&
         (wanted.empty() || text_of(dpu, "name") == wanted || text_of(dpu, "dpu") == wanted);
}

Result<Json> ask_array(const Ask& ask, const char* verb) {
  auto answer = ask(verb, Json::object(), kLimit);
  if (answer && !answer->is_array())
    return fail(Errc::protocol, std::string("vnvmed answered something else than a list to ") + verb);
  return answer;
}

// Rows of the DPU that was asked for, under the name that people gave it.
Result<Json> rows(const Ask& ask, const char* verb, const std::string& wanted) {
  auto dpus = ask_array(ask, "dpu");
  if (!dpus) return dpus;
  auto all = ask_array(ask, verb);
  if (!all) return all;
  Json out = Json::array();
  bool found = wanted.empty();
  for (const Json& dpu : *dpus) {
    if (!is_dpu(dpu, wanted)) continue;
    found = true;
    auto id = text_of(dpu, "dpu").value_or("");
    for (Json row : *all) {
      if (text_of(row, "dpu") != id) continue;
      row["dpu_name"] = text_of(dpu, "name").value_or(id);
      out.push_back(std::move(row));
    }
  }
  if (!found) return fail(Errc::not_found, "there is no DPU '" + printable(wanted, 80) + "'");
  return out;
}

// What a form needs to offer "pick drives, pick a RAID level, create the SR".
Result<Json> probe(const Ask& ask, const std::string& wanted) {
  auto dpus = ask_array(ask, "dpu");
  if (!dpus) return dpus;
  auto drives = ask_array(ask, "drives");
  if (!drives) return drives;
  auto pools = ask_array(ask, "pools");
  if (!pools) return pools;
  Json out = Json::array();
  for (const Json& dpu : *dpus) {
    if (!is_dpu(dpu, wanted)) continue;
    Json one = dpu;
    auto id = text_of(dpu, "dpu").value_or("");
    for (const auto& [key, list] : {std::pair("drives", &*drives), std::pair("pools", &*pools)}) {
      one[key] = Json::array();
      for (const Json& row : *list)
        if (text_of(row, "dpu") == id) one[key].push_back(row);
    }
    out.push_back(std::move(one));
  }
  if (out.empty() && !wanted.empty())
    return fail(Errc::not_found, "there is no DPU '" + printable(wanted, 80) + "'");
  return out;
}

Result<Json> answer_of(const Function& function, const Json& args, const Ask& ask) {
  const std::string_view name = function.name;
  const std::string dpu = text_of(args, "dpu").value_or("");
  if (name == "probe") return probe(ask, dpu);
  if (function.arguments.contains("dpu")) return rows(ask, function.name, dpu);
  return ask(function.name, args, kLimit);
}

}  // namespace

std::vector<std::string> function_names() {
  std::vector<std::string> out;
  for (const Function& f : functions()) out.emplace_back(f.name);
  return out;
}

Answer perform(const Call& call, const Ask& ask) {
  auto function = std::find_if(functions().begin(), functions().end(),
                               [&](const Function& f) { return f.name == call.function; });
  if (function == functions().end())
    return failure({"UNKNOWN_XENAPI_PLUGIN_FUNCTION", printable(call.function, 80)});
  auto args = arguments_of(call, *function);
  if (!args) return failure(words_of(args.error()));
  auto answer = answer_of(*function, *args, ask);
  if (!answer) return failure(words_of(answer.error()));
  std::string text = dump_json_ascii(*answer);
  if (text.size() > kMostAnswer)
    return failure({"VNVME_NO_SPACE", "the answer has more than 16 MiB; ask for less, as one SR's volumes"});
  return success(std::move(text));
}

}  // namespace vnvme::hostplugin
