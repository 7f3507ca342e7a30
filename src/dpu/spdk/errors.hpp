// What an error object of SPDK means. The number is not reliable: lvol methods
// answer -32602 with the text of strerror, v23.01 even a positive errno with
// "Unknown error -17" (recordings/spdk, all versions). So: errno = |code| when
// it is one, else by the text.
#pragma once
#include <string_view>

#include "rpc/codec.hpp"
#include "vnvme/result.hpp"

namespace vnvme::dpu::spdk {

// An error object means that nothing was done, except that a refused resize may have changed the volume
// (seen: a shrink answered "Device or resource busy" and had truncated it): that one is `unknown`.
Error classify(std::string_view method, const rpc::RemoteError& said);

// Did the target refuse the parameters as such (unknown key, wrong type)?
bool refused_keys(const rpc::RemoteError& said);

}  // namespace vnvme::dpu::spdk
