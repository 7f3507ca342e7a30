// From a call frame to an answer frame. Knows no socket: the daemon reads and
// writes frames, tests call this directly.
#pragma once
#include <cstdint>
#include <string>

#include "vnvme/smapi.hpp"
#include "vnvme/smapi_frame.hpp"

namespace vnvme::smapi {

struct CallFrame {
  RequestId id;
  std::string method;   // in any case, as scripts may be called
  std::string sr_type;  // empty for Datapath.*
  Deadline deadline;    // the daemon's own
  std::string body;     // one JSON object
};

struct Answer {
  frame::Type type = frame::Type::error;  // result, error; after the word: print, error
  std::uint8_t flags = 0;  // frame::kNeedsWord on a result: send it, wait for `printing`, call confirm()
  std::string body;
};

// Always answers; no exception but bad_alloc.
Task<Answer> dispatch(Handler& handler, CallFrame call);

// The front-end said `printing` for an answer that needed the word (R5). `print`: visible durably; else the
// error.
Task<Answer> confirm(Handler& handler, CallFrame call, std::string answer);

}  // namespace vnvme::smapi
