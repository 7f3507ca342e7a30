#include "dpusim/faults.hpp"

#include <algorithm>
#include <array>

#include "dpusim/params.hpp"

namespace vnvme::sim {
namespace {

constexpr std::array kActions = {
    "error",      "drop_before", "drop_after",          "never",         "late",         "twice",
    "wrong_id",   "half_frame",  "two_in_one",          "byte_by_byte",  "garbage",      "bad_utf8",
    "huge",       "deep",        "strings_for_numbers", "missing_field", "extra_fields", "kill_before",
    "kill_after", "large",       "status_401",          "status_500",    "chunked"};
constexpr std::size_t kHugeBytes = 40u << 20;
constexpr std::size_t kLargeBytes = 5u << 20;
constexpr std::size_t kDeep = 100'000;

void numbers_to_strings(Json& value) {
  if (value.is_number())
    value = value.dump();
  else if (value.is_structured())
    for (auto& item : value) numbers_to_strings(item);
}

void remove_field(Json& value, const std::string& field) {
  if (value.is_object()) value.erase(field);
  if (value.is_structured())
    for (auto& item : value) remove_field(item, field);
}

void add_fields(Json& value) {
  if (value.is_structured())
    for (auto& item : value) add_fields(item);
  if (value.is_object()) value["x_unknown"] = {{"added", Json::array({1, "two", nullptr})}};
}

std::string with_id(Json answer, const Json& id) {
  answer["id"] = id;
  return dump_json_ascii(answer) + "\n";
}

std::string rewritten(const Fault& fault, Json answer) {
  Json* body = answer.contains("result")  ? &answer["result"]
               : answer.contains("error") ? &answer["error"]
                                          : nullptr;
  if (body != nullptr && fault.action == "strings_for_numbers") numbers_to_strings(*body);
  if (body != nullptr && fault.action == "missing_field") remove_field(*body, fault.field);
  if (body != nullptr && fault.action == "extra_fields") add_fields(*body);
  if (fault.action == "wrong_id") {
    const Json& id = answer["id"];
    return with_id(answer,
                   id.is_number_unsigned() ? Json(id.get<std::uint64_t>() + 1'000'000) : Json("not-yours"));
  }
  return dump_json_ascii(answer) + "\n";
}

// Right, but long: a member that nobody asked for.
std::string lengthened(const std::string& answer) {
  std::string filler = "[";
  while (filler.size() < kLargeBytes) filler += "\"" + std::string(1000, 'x') + "\",";
  return answer.substr(0, 1) + "\"x_filler\":" + filler + "0]," + answer.substr(1);
}

std::string around_result(const Json& answer, const std::string& result) {
  return "{\"jsonrpc\":\"2.0\",\"id\":" + dump_json_ascii(answer["id"]) + ",\"result\":" + result + "}\n";
}

}  // namespace

Reply Faults::add(const Json* params) {
  auto args = Args::decode(params, {{"method", Type::text, true},
                                    {"nth", Type::number},
                                    {"times", Type::number},
                                    {"action", Type::text, true},
                                    {"message", Type::text},
                                    {"delay_ms", Type::number},
                                    {"field", Type::text},
                                    {"code", Type::integer}});
  if (!args)
    return refuse(kInvalidParams,
                  "sim_fault_add takes method, action, and nth, times, code, message, delay_ms, field");
  Fault fault;
  fault.method = *args->text("method");
  fault.action = *args->text("action");
  fault.nth = args->number_or("nth", 1);
  fault.times = args->number_or("times", 1);
  fault.message = args->text_or("message", fault.message);
  fault.delay_ms = args->number_or("delay_ms", fault.delay_ms);
  fault.field = args->text_or("field", "");
  if (const Json* code = args->raw("code"); code != nullptr) fault.code = code->get<std::int64_t>();
  if (std::find(kActions.begin(), kActions.end(), fault.action) == kActions.end())
    return refuse(kInvalidParams, "no such action: " + fault.action);
  if (fault.nth == 0) return refuse(kInvalidParams, "nth counts from 1");
  if (rules_.size() >= kMost) return refuse(kInvalidParams, "more than " + std::to_string(kMost) + " rules");
  rules_.push_back(std::move(fault));
  return true;
}

std::optional<Fault> Faults::hit(const std::string& method) {
  std::optional<Fault> found;
  for (auto it = rules_.begin(); it != rules_.end();) {
    bool meant = it->method == "*" || it->method == method;
    if (!meant || --it->nth > 0) {
      ++it;
      continue;
    }
    it->nth = 1;  // the next one is hit as well, when more than one is asked for
    if (!found) found = *it;
    bool last = it->times == 1;
    if (it->times > 1) --it->times;
    it = last ? rules_.erase(it) : std::next(it);
  }
  if (found) ++hits_;
  return found;
}

Json Faults::json() const {
  Json out = Json::array();
  for (const auto& r : rules_)
    out.push_back({{"method", r.method}, {"nth", r.nth}, {"times", r.times}, {"action", r.action}});
  return out;
}

Mangled mangle(const Fault& fault, const std::string& answer) {
  const auto& action = fault.action;
  auto parsed =
      parse_json(answer, {.bytes = 64u << 20, .depth = 64, .values = 8u << 20, .string_bytes = 32u << 20});
  Json json = parsed ? std::move(*parsed) : Json::object();
  if (action == "twice") return {{answer, answer}, false};
  if (action == "half_frame") return {{answer.substr(0, answer.size() / 2)}, true};
  if (action == "two_in_one") return {{with_id(json, "stray") + answer}, false};
  if (action == "garbage") return {{"\x01\xff{]garbage\n"}, false};
  if (action == "bad_utf8") return {{around_result(json, "\"\xc3\x28\xff\"")}, false};
  if (action == "huge") return {{around_result(json, "\"" + std::string(kHugeBytes, 'x') + "\"")}, false};
  if (action == "large") return {{lengthened(answer)}, false};
  if (action == "chunked" || action == "status_500") return {{answer}, false, action};
  if (action == "deep")
    return {{around_result(json, std::string(kDeep, '[') + std::string(kDeep, ']'))}, false};
  if (action == "byte_by_byte") {
    Mangled out;
    for (char c : answer) out.writes.emplace_back(1, c);
    return out;
  }
  return {{rewritten(fault, std::move(json))}, false};
}

}  // namespace vnvme::sim
