// A call as the daemon gets it, "METHOD BODY": whatever it says, the answer is one JSON value, and an error
// has all the members that XAPI asks for.
#include "core/json.hpp"
#include "fuzz/fuzz.hpp"
#include "unit/smapi/fake_handler.hpp"

using vnvme::fuzz::require;
namespace smapi = vnvme::smapi;

namespace {

void check_error(const vnvme::Json& answer) {
  const auto* trace = vnvme::member(answer, "backtrace");
  const auto* params = vnvme::member(answer, "params");
  require(vnvme::text_of(answer, "code").has_value(), "an error has a code");
  require(params != nullptr && params->is_array(), "an error has params");
  for (const auto& one : *params) require(one.is_string(), "params are strings");
  require(trace != nullptr && vnvme::text_of(*trace, "error").has_value(), "an error has a backtrace");
  const auto *files = vnvme::member(*trace, "files"), *lines = vnvme::member(*trace, "lines");
  require(files != nullptr && files->is_array() && lines != nullptr && lines->is_array(),
          "a backtrace has files and lines");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto body = vnvme::fuzz::text(data, size);
  const std::string method(vnvme::fuzz::cut(body, ' '));
  smapi::testing::FakeHandler handler;
  for (bool failing : {false, true}) {
    if (failing)
      handler.error =
          vnvme::Error{vnvme::Errc::busy, vnvme::Outcome::unknown, std::string(body.substr(0, 99))};
    const auto answer = smapi::testing::ask(handler, method, std::string(body));
    const auto json = vnvme::parse_json(answer.body);
    require(json.has_value(), "an answer is one JSON value");
    require(answer.type == vnvme::frame::Type::result || answer.type == vnvme::frame::Type::error,
            "a call is answered by a result or an error");
    if (answer.type == vnvme::frame::Type::error) check_error(*json);
  }
  require(handler.asked.size() <= 2, "a call reaches the services once at most");
  return 0;
}
