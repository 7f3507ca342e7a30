// One request to the daemon, with the word before printing (R5), repeated
// under the same id over broken connections until the deadline (R1, R4).
#pragma once
#include <string_view>

#include "system.hpp"
#include "text.hpp"
#include "vnvme/smapi_methods.hpp"

namespace vnvme::plugin {

struct Request {
  const smapi::MethodFacts* method;
  std::string_view sr_type;
  std::string_view body;
  const char* socket;
  std::int64_t started_ms;
  Until until;
};

struct Outcome {
  enum Kind {
    result,  // body: the JSON value to print, exit 0
    error,   // body: the daemon's complete error object, exit 1
    failed,  // no answer: `code` and the text in `why`
  } kind;
  std::string_view body;
  const char* code;
};

using Why = TextBuffer<1024>;

Outcome call_daemon(const Request& request, Why& why);

}  // namespace vnvme::plugin
