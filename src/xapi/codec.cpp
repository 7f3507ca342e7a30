#include "xapi/codec.hpp"

#include "core/json.hpp"
#include "core/text.hpp"
#include "rpc/scan.hpp"

namespace vnvme::xapi {
namespace {

constexpr std::size_t kFailureParams = 32;

// Errors about the conversation, not about the objects: nothing is known then.
Error violation(std::string text) {
  return Error{.code = Errc::protocol, .outcome = Outcome::unknown, .text = std::move(text)};
}

rpc::ScanLimits limits_for(std::string_view text) {
  rpc::ScanLimits limits;
  limits.frame_bytes = text.size();  // the HTTP reader has bounded it already
  return limits;
}

Result<Failure> parse_failure(std::string_view text) {
  auto json = parse_json(text, JsonLimits{.bytes = 1u << 20, .depth = 8, .values = 4096});
  if (!json) return fail(violation("an error object that is not JSON: " + json.error().text));
  auto code = text_of(*json, "message");
  if (!code || code->empty()) return fail(violation("an error object without a code"));
  Failure out{*code, {}};
  const Json* data = member(*json, "data");
  if (data == nullptr) return out;
  // A JSON array of strings; some errors come with one bare string.
  if (data->is_string()) out.params.push_back(data->get<std::string>());
  if (!data->is_array()) return out;
  for (const auto& one : *data) {
    if (out.params.size() == kFailureParams) break;
    out.params.push_back(one.is_string() ? one.get<std::string>() : dump_json(one));
  }
  return out;
}

struct Row {
  std::string_view code;
  Errc errc;
  Outcome outcome;
};

// Codes from ocaml/xapi-consts/api_errors.ml. Only what a caller decides on; all others are `not_permitted`,
// because XAPI raises them before it acts, save those that say that something broke.
constexpr Row kRows[] = {
    {"SESSION_INVALID", Errc::unreachable, Outcome::not_done},
    {"SESSION_AUTHENTICATION_FAILED", Errc::not_permitted, Outcome::not_done},
    {"HOST_STILL_BOOTING", Errc::unreachable, Outcome::not_done},
    {"HOST_IN_EMERGENCY_MODE", Errc::unreachable, Outcome::not_done},
    {"HOST_IS_SLAVE", Errc::unreachable, Outcome::not_done},
    {"HOST_OFFLINE", Errc::unreachable, Outcome::not_done},
    {"HOST_HAS_NO_MANAGEMENT_IP", Errc::unreachable, Outcome::not_done},
    {"HOST_MASTER_CANNOT_TALK_BACK", Errc::unreachable, Outcome::not_done},
    {"CANNOT_CONTACT_HOST", Errc::unreachable, Outcome::unknown},  // a member forwards to its master
    {"TLS_CONNECTION_FAILED", Errc::unreachable, Outcome::unknown},
    {"HANDLE_INVALID", Errc::not_found, Outcome::not_done},
    {"UUID_INVALID", Errc::not_found, Outcome::not_done},
    {"MAP_DUPLICATE_KEY", Errc::already_exists, Outcome::not_done},
    {"DEVICE_ALREADY_EXISTS", Errc::already_exists, Outcome::not_done},
    {"OTHER_OPERATION_IN_PROGRESS", Errc::busy, Outcome::not_done},
    {"TOO_MANY_PENDING_TASKS", Errc::busy, Outcome::not_done},
    {"VDI_IN_USE", Errc::in_use, Outcome::not_done},
    {"EVENTS_LOST", Errc::conflict, Outcome::not_done},
    {"EVENT_FROM_TOKEN_PARSE_FAILURE", Errc::conflict, Outcome::not_done},
    {"MESSAGE_METHOD_UNKNOWN", Errc::not_supported, Outcome::not_done},
    {"MESSAGE_REMOVED", Errc::not_supported, Outcome::not_done},
    {"NOT_IMPLEMENTED", Errc::not_supported, Outcome::not_done},
    {"MESSAGE_PARAMETER_COUNT_MISMATCH", Errc::invalid_argument, Outcome::not_done},
    {"FIELD_TYPE_ERROR", Errc::invalid_argument, Outcome::not_done},
    {"INVALID_VALUE", Errc::invalid_argument, Outcome::not_done},
    {"VALUE_NOT_SUPPORTED", Errc::invalid_argument, Outcome::not_done},
    {"INTERNAL_ERROR", Errc::io, Outcome::unknown},
    {"SR_BACKEND_FAILURE", Errc::io, Outcome::unknown},
    {"TASK_CANCELLED", Errc::cancelled, Outcome::unknown},
};

}  // namespace

std::string call_text(std::string_view method, const Json& params, std::uint64_t id) {
  Json call = Json::object();
  call["jsonrpc"] = "2.0";
  call["method"] = std::string(method);
  call["params"] = params;
  call["id"] = id;
  return dump_json(call);
}

Result<Answer> Answer::parse(std::string body, std::uint64_t id) {
  Answer out;
  out.body_ = std::move(body);
  std::string_view text = out.body_;
  std::optional<std::string_view> result, error, its_id;
  auto read = rpc::each_member(
      text,
      [&result, &error, &its_id](std::string_view key, std::string_view value) -> Result<void> {
        if (key == "result") result = value;
        if (key == "error" && value != "null") error = value;
        if (key == "id") its_id = value;
        return {};
      },
      limits_for(text));
  if (!read) return fail(violation("not JSON-RPC: " + read.error().text));
  // XAPI reports a failure that it met before it looked at the request with id 0.
  if (!its_id || (*its_id != std::to_string(id) && !(error && *its_id == "0")))
    return fail(violation("an answer to another call"));
  if (error && result && *result != "null")
    return fail(violation("an answer with both a result and an error"));
  if (!error && !result) return fail(violation("an answer with neither a result nor an error"));
  if (error) {
    auto failure = parse_failure(*error);
    if (!failure) return fail(failure.error());
    out.failure_ = std::move(*failure);
    return out;
  }
  out.at_ = static_cast<std::size_t>(result->data() - text.data());
  out.length_ = result->size();
  return out;
}

Error error_of(const Failure& failure, std::string_view method) {
  auto words = failure.code;
  for (const auto& param : failure.params) words += ", " + param;
  Error out{.code = Errc::not_permitted,
            .outcome = Outcome::not_done,
            .text = "XAPI refused " + std::string(method) + ": " + printable(words, 512),
            .step = std::string(method)};
  for (const auto& row : kRows) {
    if (failure.code != row.code && !(row.code == "SR_BACKEND_FAILURE" && failure.code.starts_with(row.code)))
      continue;
    out.code = row.errc;
    out.outcome = row.outcome;
    break;
  }
  return out;
}

}  // namespace vnvme::xapi
