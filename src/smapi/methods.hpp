// One row a method: how its parameters are read, which call of the Handler
// it is, and how the result is written.
#pragma once
#include <string>
#include <string_view>

#include "smapi/args.hpp"
#include "vnvme/smapi.hpp"
#include "vnvme/smapi_methods.hpp"

namespace vnvme::smapi {

struct Method {
  std::string_view name;
  // The JSON value to print. Parameters are complete and right before the handler is called.
  Task<Result<std::string>> (*run)(Handler&, Context, Args);
};

// nullptr: not a method that the daemon answers. The name in its proper case.
const Method* find_daemon_method(std::string_view name);

}  // namespace vnvme::smapi
