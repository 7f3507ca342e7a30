// A block device of the kernel, or a plain file.
#pragma once
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <string>

#include "vnvme/host.hpp"

namespace vnvme::host {

Task<Result<std::unique_ptr<BlockDevice>>> open_file(boost::asio::thread_pool& pool, std::string path,
                                                     Deadline deadline);

}  // namespace vnvme::host
