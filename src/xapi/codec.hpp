// XAPI's JSON-RPC 2.0 (doc/content/xen-api/wire-protocol.md of xapi-project/xen-api). Pure.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vnvme/result.hpp"

namespace vnvme::xapi {

// params includes the session where the method wants one. Floats stay floats ("30.0"): XAPI refuses an
// integer in the place of a float.
std::string call_text(std::string_view method, const nlohmann::json& params, std::uint64_t id);

// What XAPI says when it refuses: an error code of its own and parameters.
struct Failure {
  std::string code;  // "HANDLE_INVALID"
  std::vector<std::string> params;
};

// An answer as it came; result() is a part of its text, so that a long list is not built twice.
class Answer {
 public:
  // Errc::protocol, outcome unknown: no JSON-RPC, or the answer to another call.
  static Result<Answer> parse(std::string body, std::uint64_t id);
  [[nodiscard]] const std::optional<Failure>& failure() const { return failure_; }
  // JSON text; empty when there is a failure.
  [[nodiscard]] std::string_view result() const { return std::string_view(body_).substr(at_, length_); }

 private:
  std::string body_;
  std::size_t at_ = 0, length_ = 0;
  std::optional<Failure> failure_;
};

// The kind of failure, whether the effect may have happened, and a text with XAPI's own words.
Error error_of(const Failure& failure, std::string_view method);

inline constexpr std::string_view kSessionInvalid = "SESSION_INVALID";

}  // namespace vnvme::xapi
