// The one place where our errors become what XAPI and its administrators read.
#pragma once
#include <string>
#include <string_view>

#include "vnvme/result.hpp"

namespace vnvme::smapi {

// What a failed call was about, as far as it was understood: needed for the parameters of some errors.
struct ErrorSubject {
  std::string method;
  std::string sr;
  std::string volume;
};

// {"code","params","backtrace":{"error","files","lines"}}: all of it is required, else XAPI shows
// SCRIPT_FAILED. Codes are SM's where SM has one (44 no space, 46 VDI not available, ...); docs of the
// mapping: errors.cpp.
std::string encode_error(const Error& error, const ErrorSubject& subject);

// A method that we do not have: the form that the generated bindings print.
std::string encode_unimplemented(std::string_view method);

}  // namespace vnvme::smapi
