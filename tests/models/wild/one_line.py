# name: ConvMixer(h=8, d=1)
# images: 3x224x224
# parameters: 147*8+8+16 + 81*8+8+16 + 72+16 + 9*1000
# macs: 147*8*1024 + 81*8*1024 + 64*1024 + 8000
import torch.nn as nn


def ConvMixer(h,d,k=9,p=7,n=1000):
    S,C,A=nn.Sequential,nn.Conv2d,lambda x:S(x,nn.GELU(),nn.BatchNorm2d(h))
    R=type('',(S,),{'forward':lambda s,x:s[0](x)+x})
    return S(A(C(3,h,p,p)),*[S(R(A(C(h,h,k,groups=h,padding=k//2))),A(C(h,h,1))) for i in range(d)],nn.AdaptiveAvgPool2d(1),nn.Flatten(),nn.Linear(h,n))
