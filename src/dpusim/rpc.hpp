// What a method handler of the simulator gets and gives.
#pragma once
#include <cstring>
#include <functional>
#include <string>

#include "core/json.hpp"

namespace vnvme::sim {

// Codes and texts are what the real target sent; see tests/data/spdk.
struct RpcError {
  std::int64_t code = -32603;
  std::string message;
};

using Reply = tl::expected<Json, RpcError>;
using Done = std::function<void(Reply)>;

// Text that is JSON already: long lists are never built as trees. Carried as a binary value, which JSON text
// cannot give, so it cannot be mistaken for anything else.
inline Json raw_json(const std::string& text) {
  return Json::binary(std::vector<std::uint8_t>(text.begin(), text.end()));
}
inline std::string reply_text(const Json& value) {
  if (!value.is_binary()) return dump_json_ascii(value);
  const auto& bytes = value.get_binary();
  return {bytes.begin(), bytes.end()};
}

constexpr int kInvalidParams = -32602;
constexpr int kInternal = -32603;

inline tl::unexpected<RpcError> refuse(std::int64_t code, std::string message) {
  return tl::unexpected<RpcError>(RpcError{code, std::move(message)});
}
// {-errno, strerror}: most bdev methods.
inline tl::unexpected<RpcError> refuse_errno(int number) {
  return refuse(-number, std::strerror(number));
}
// The text is the errno's, the code is not: lvol methods once the work has begun.
inline tl::unexpected<RpcError> refuse_late(int number, int code = kInvalidParams) {
  return refuse(code, std::strerror(number));
}
inline tl::unexpected<RpcError> refuse_decode() {
  return refuse(kInternal, "spdk_json_decode_object failed");
}
inline tl::unexpected<RpcError> refuse_nvmf() {
  return refuse(kInvalidParams, "Invalid parameters");
}

}  // namespace vnvme::sim
