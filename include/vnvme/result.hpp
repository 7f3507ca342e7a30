// Errors are values. Every fallible call in vnvme returns Result<T>.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace vnvme {

// What became of the effect that the failed call was about.
//   not_done  it certainly did not happen: may be retried freely
//   done      it certainly happened, though the call failed afterwards
//   unknown   nobody can tell (connection lost after the request was written,
//             deadline passed): probe before doing anything else (invariant C3)
enum class Outcome { not_done, done, unknown };

// What kind of failure. Callers branch on this, never on a text.
enum class Errc {
  invalid_argument,  // the caller's request makes no sense
  not_found,         // a positive answer: the named object does not exist (I2)
  already_exists,    // another object has that name
  busy,              // somebody else holds it right now; a retry may work
  in_use,            // an owner, an exposure or a dependant forbids it
  no_space,          // the pool has not enough free clusters
  too_many_volumes,  // the pool's metadata pages are used up
  not_permitted,     // the device or the state of the object refuses it
  not_supported,     // this DPU family cannot do it
  timeout,           // the deadline passed
  unreachable,       // the peer cannot be reached
  conflict,          // the same request with other parameters, or two truths that disagree
  rebuilding,        // the store is being rebuilt: no answer is better than a wrong one
  corrupt,           // what we read is not what we wrote
  io,                // the operating system failed us
  protocol,          // the peer broke its protocol
  cancelled,         // we gave up on purpose (shutdown)
  internal,          // a bug of ours
};

std::string_view to_string(Errc code) noexcept;
std::string_view to_string(Outcome outcome) noexcept;

struct Error {
  Errc code = Errc::internal;
  Outcome outcome = Outcome::not_done;
  std::string text;       // for people: what, where, since when, what to do; never a secret
  std::string step = {};  // the step that failed, e.g. "bdev_lvol_create"
  std::string peer = {};  // who answered, e.g. "unix:/var/tmp/spdk.sock"
  std::optional<std::int64_t> native = std::nullopt;  // the peer's own code, for the log only

  // One line for logs and people: "text (step STEP, peer PEER, code N)".
  [[nodiscard]] std::string describe() const;
};

template <class T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}
[[nodiscard]] inline tl::unexpected<Error> fail(Errc code, std::string text,
                                                Outcome outcome = Outcome::not_done) {
  return tl::unexpected<Error>(Error{code, outcome, std::move(text)});
}

}  // namespace vnvme

// Leaves the function with the error, else goes on. Works in functions and (with CO_) in coroutines.
#define VNVME_TRY(expression)                                                   \
  do {                                                                          \
    auto vnvme_result_ = (expression);                                          \
    if (!vnvme_result_) return ::vnvme::fail(std::move(vnvme_result_.error())); \
  } while (0)
