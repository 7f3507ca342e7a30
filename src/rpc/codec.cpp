#include "rpc/codec.hpp"

#include <charconv>

#include "core/json.hpp"

namespace vnvme::rpc {
namespace {

std::size_t count_values(const Json& value) {
  std::size_t n = 1;
  if (value.is_structured())
    for (const auto& inner : value) n += count_values(inner);
  return n;
}

Result<RemoteError> decode_error(std::string_view text) {
  auto json = parse_json(text, {.bytes = 64u << 10, .depth = 16, .values = 256, .string_bytes = 16u << 10});
  if (!json) return fail(json.error());
  auto code = integer_of(*json, "code");
  auto message = text_of(*json, "message");
  if (!code || !message)
    return fail(Errc::protocol, "an error object without code or message", Outcome::unknown);
  return RemoteError{*code, *message};
}

std::optional<std::uint64_t> decode_id(std::string_view text) {
  std::uint64_t id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return id;
}

}  // namespace

Result<std::string> encode_request(std::uint64_t id, std::string_view method, const Json& params) {
  Json request = Json::object();
  request["jsonrpc"] = "2.0";
  request["id"] = id;
  request["method"] = method;
  if (!params.is_null() && !params.empty()) {
    if (!params.is_object()) return fail(Errc::internal, "parameters that are no object");
    if (count_values(params) > kRequestValues)
      return fail(Errc::invalid_argument,
                  "a request of more than " + std::to_string(kRequestValues) + " values");
    request["params"] = params;
  }
  auto text = dump_json_ascii(request);
  if (text.size() > kRequestBytes)
    return fail(Errc::invalid_argument, "a request of " + std::to_string(text.size()) +
                                            " bytes, more than the limit of " +
                                            std::to_string(kRequestBytes));
  return text;
}

Result<Decoded> decode_answer(std::string frame) {
  std::string_view id, result, error;
  auto keep = [&id, &result, &error](std::string_view key, std::string_view value) -> Result<void> {
    if (key == "id") id = value;
    if (key == "result") result = value;
    if (key == "error") error = value;
    return {};
  };
  auto cut = each_member(frame, keep);
  if (!cut) return fail(cut.error());
  Decoded decoded{decode_id(id),
                  fail(Errc::protocol, "an answer with neither result nor error", Outcome::unknown)};
  if (!error.empty() && error != "null") {
    auto remote = decode_error(error);
    if (remote)
      decoded.payload = Answer(std::move(*remote));
    else
      decoded.payload =
          fail(Errc::protocol, "unreadable error object: " + remote.error().text, Outcome::unknown);
  } else if (!result.empty()) {
    auto begin = static_cast<std::size_t>(result.data() - frame.data());
    auto length = result.size();
    decoded.payload = Answer(std::move(frame), begin, length);
  }
  return decoded;
}

}  // namespace vnvme::rpc
