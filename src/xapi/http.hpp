// HTTP as XAPI's server speaks it: one POST, one answer, one connection. Pure.
// A connection of its own for each request costs one connect on a unix socket
// and leaves no doubt about what a closed one means: with keep-alive the server
// may close just when the next request is written.
#pragma once
#include <string>
#include <string_view>

#include "rpc/http.hpp"

namespace vnvme::xapi {

using rpc::ResponseReader;

std::string post_request(std::string_view path, std::string_view body);

// The body of a 200; else an error. XAPI answers 500 with a page of HTML when it could not understand the
// request, or when it broke in the middle of it: nobody knows then what it did.
Result<std::string> body_of(ResponseReader& reader);

}  // namespace vnvme::xapi
