# pyrepsim._cuda: the kernels of csrc/cuda for several GPU generations. Built if there is a CUDA compiler, version 12 or newer.
# Only the CUDA runtime is linked, statically, so the module can be imported on machines without a driver.
# Architectures: CMAKE_CUDA_ARCHITECTURES or CUDAARCHS, else those of sm_80 to sm_120 that the compiler supports.
set(wanted "${CMAKE_CUDA_ARCHITECTURES}")
if(NOT wanted)
  set(wanted "$ENV{CUDAARCHS}")
endif()

# nvcc is often not on the PATH.
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(nvcc nvcc PATHS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda /opt/cuda PATH_SUFFIXES bin)
  if(nvcc)
    set(CMAKE_CUDA_COMPILER "${nvcc}")
  endif()
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  message(STATUS "No working CUDA compiler: pyrepsim is built without its CUDA backend")
  return()
endif()
enable_language(CUDA)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # nvcc 11, or CMake 3.25, which has no C++20 option for nvcc 12
  message(STATUS "CUDA ${CMAKE_CUDA_COMPILER_VERSION} with CMake ${CMAKE_VERSION} has no support for C++20: "
                 "pyrepsim is built without its CUDA backend")
  return()
endif()
if(NOT wanted)
  set(wanted 80-real 90a-real)
  if(CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 12.8)
    list(APPEND wanted 100-real 120)  # 120 with PTX, for later generations
  else()
    list(APPEND wanted 90-virtual)
  endif()
endif()

file(GLOB cuda_kernels CONFIGURE_DEPENDS csrc/cuda/*.cu csrc/cuda/tiles/*.cu)
file(GLOB cuda_bindings CONFIGURE_DEPENDS csrc/bindings/cuda/*.cpp)
add_library(cuda_kernels OBJECT ${cuda_kernels})
target_include_directories(cuda_kernels PUBLIC csrc)
set_target_properties(
  cuda_kernels
  PROPERTIES CUDA_STANDARD 20
             CUDA_STANDARD_REQUIRED ON
             CUDA_VISIBILITY_PRESET hidden
             CUDA_ARCHITECTURES "${wanted}"
             CUDA_RUNTIME_LIBRARY Static
             POSITION_INDEPENDENT_CODE ON)
target_compile_options(cuda_kernels PRIVATE -diag-suppress=177)  # functions that another architecture uses
if(PYREPSIM_WERROR)
  # A kernel that spills registers or keeps an array in local memory can be several times slower. The fused kernel is
  # excluded: it uses all registers and keeps values for the second layer in local memory.
  set(gated ${cuda_kernels})
  list(FILTER gated EXCLUDE REGEX "/tiles/fused\\.cu$")
  set_source_files_properties(
    ${gated} PROPERTIES COMPILE_OPTIONS "-Xptxas=-Werror,--warn-on-spills,--warn-on-local-memory-usage")
  target_compile_options(cuda_kernels PRIVATE -Werror=all-warnings)
endif()
pybind11_add_module(_cuda MODULE ${cuda_bindings} csrc/tiles/metric.cpp)
set_target_properties(_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static)
target_include_directories(_cuda PRIVATE ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
target_link_libraries(_cuda PRIVATE cuda_kernels)
